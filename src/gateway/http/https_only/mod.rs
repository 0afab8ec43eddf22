//! What brings clients from http to https and keeps them there: redirects ([`redirect`]), and `Strict-Transport-Security`
//! (HSTS, RFC 6797).

pub(super) mod https_options;
pub(super) mod redirect;
