# A PSGI application: echoes websockets, and what is posted.
my $app = sub {
    my $env = shift;
    if ($env->{HTTP_SEC_WEBSOCKET_KEY}) {
        uwsgi::websocket_handshake($env->{HTTP_SEC_WEBSOCKET_KEY}, $env->{HTTP_ORIGIN} // "", $env->{HTTP_SEC_WEBSOCKET_PROTOCOL} // "");
        while (1) {
            uwsgi::websocket_send(uwsgi::websocket_recv());
        }
    }
    my $body = "perl $env->{PATH_INFO}";
    if ($env->{REQUEST_METHOD} eq "POST") {
        $body = "";
        while ($env->{'psgi.input'}->read(my $part, 65536)) { $body .= $part; }
    }
    return [200, ["Content-Type" => "text/plain"], [$body]];
};
