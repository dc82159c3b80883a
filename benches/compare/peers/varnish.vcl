# Varnish in front of the origin; memory storage. @NAMES@ are filled in by ../run.
vcl 4.1;
backend origin { .host = "@HOST@"; .port = "@PORT@"; }
sub vcl_backend_response { set beresp.ttl = 1d; set beresp.do_stream = true; }
