#!/usr/bin/env -S runner runIni
#
# For a web server that starts FastCGI programs with a listening socket as their standard input
# (Apache's mod_fcgid, lighttpd, spawn-fcgi). See ../servers for configurations.

app = commands.Alias(command=['FastCGI', 'WSGI', 'import:hello.application'])
