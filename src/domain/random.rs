//! Random bytes from the operating system.

use anyhow::anyhow;
use ring::rand::{SecureRandom, SystemRandom};

/// Returns `N` random bytes.
///
/// # Errors
/// The operating system's random number generator failed.
pub(super) fn bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow!("the operating system's random number generator failed"))?;
    Ok(bytes)
}
