#!/usr/bin/env -S runner runIni
#
# For a web server that runs CGI programs: it starts this file for each request. See ../servers for configurations.

app = commands.Alias(command=['CGI', 'WSGI', 'import:hello.application'])
