//! What brings clients from http to https and keeps them there: redirects ([`redirect`]), and `Strict-Transport-Security`
//! (HSTS, RFC 6797). And the answers by which an authority of certificates checks names ([`acme_challenge`]).

pub(super) mod acme_challenge;
pub(super) mod https_options;
pub(super) mod redirect;
