//! The secret from which all keys are derived: JWT_SECRET, or a secret that is generated once and stored in a file.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;

use super::Config;

impl Config {
    /// The secret of this installation.
    ///
    /// # Errors
    /// The file cannot be read or written, or is too short.
    pub fn secret(&self) -> anyhow::Result<SecretString> {
        if let Some(secret) = &self.auth.jwt_secret {
            return Ok(secret.clone());
        }
        let path = self.database.create_data_directory()?.join("jwt_secret");
        stored_secret(&path).with_context(|| format!("cannot use the secret file {}", path.display()))
    }
}

fn stored_secret(path: &Path) -> anyhow::Result<SecretString> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let mut bytes = [0; 32];
            SystemRandom::new()
                .fill(&mut bytes)
                .map_err(|_| anyhow::anyhow!("the operating system returned no random bytes"))?;
            let secret = URL_SAFE_NO_PAD.encode(bytes);
            file.write_all(secret.as_bytes())?;
            file.sync_all()?;
            Ok(secret.into())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let secret = std::fs::read_to_string(path)?;
            anyhow::ensure!(
                secret.len() >= 32,
                "the file must have at least 32 characters; delete it to generate a new secret"
            );
            Ok(secret.into())
        }
        Err(error) => Err(error.into()),
    }
}
