//! The uwsgi protocol, by which web servers pass requests on to uWSGI: `uwsgi_pass` of nginx, mod_proxy_uwsgi of Apache.

pub mod request_packet;
