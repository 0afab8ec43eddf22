# An HTTP server on a Unix socket, in plain Ruby: what a framework does for you is written out here.

require "socket"

def answer(client)
  while (line = client.gets)
    _method, path, = line.split
    # The fields of the head end with an empty line. Requests for this server have no body.
    nil until client.gets&.strip.to_s.empty?
    body = "Hello from process #{Process.pid}! You asked for #{path}\n"
    client.write "HTTP/1.1 200 OK\r\n",
                 "Content-Type: text/plain; charset=utf-8\r\n",
                 "Content-Length: #{body.bytesize}\r\n\r\n", body
  end
ensure
  client.close
end

server = UNIXServer.new(ARGV.first)
Signal.trap("TERM") { exit }
loop { Thread.new(server.accept) { |client| answer(client) } }
