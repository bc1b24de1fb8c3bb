//! Randomness from the operating system.

use anyhow::anyhow;
use ring::rand::{SecureRandom, SystemRandom};

/// # Errors
/// The operating system has none to give.
pub(super) fn bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow!("the system gave no random bytes"))?;
    Ok(bytes)
}

/// Each number below `bound` with the same chance.
///
/// # Errors
/// Those of [`bytes`].
pub(super) fn below(bound: u32) -> anyhow::Result<u32> {
    // Numbers past the last whole multiple would make the small ones likelier.
    let fair = u32::MAX - u32::MAX % bound;
    loop {
        let number = u32::from_le_bytes(bytes()?);
        if number < fair {
            return Ok(number % bound);
        }
    }
}
