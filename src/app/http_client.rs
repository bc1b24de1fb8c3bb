//! The HTTP client that the adapters use, and the setup of TLS.

use std::time::Duration;

use anyhow::Context;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds a client that does not follow redirects.
pub(super) fn http_client(read_timeout: Duration) -> anyhow::Result<reqwest::Client> {
    require_ca_certificates()?;
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(read_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("failed to build the HTTP client")
}

/// Fails if there are no CA certificates. Without this check, HTTPS requests would fail with errors that do not name the cause.
pub(super) fn require_ca_certificates() -> anyhow::Result<()> {
    anyhow::ensure!(
        !rustls_native_certs::load_native_certs().certs.is_empty(),
        "no CA certificates found, so no HTTPS server can be verified: install the package ca-certificates \
         (Debian, Ubuntu, Alpine, Fedora), or set SSL_CERT_FILE to a certificate file"
    );
    Ok(())
}

pub(super) fn install_tls() {
    // Fails only if a cryptography provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
