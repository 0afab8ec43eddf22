<?php
header('Content-Type: text/plain; charset=utf-8');
echo 'Hello from process ', getmypid(), '! You asked for ', $_SERVER['REQUEST_URI'], "\n";
