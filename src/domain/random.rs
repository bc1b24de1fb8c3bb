//! Random bytes and numbers from the operating system.

use anyhow::anyhow;
use ring::rand::{SecureRandom, SystemRandom};

/// # Errors
/// The operating system's random number generator failed.
pub(super) fn bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow!("the operating system's random number generator failed"))?;
    Ok(bytes)
}

/// A uniformly distributed number below `bound`.
///
/// # Errors
/// Those of [`bytes`].
pub(super) fn below(bound: u32) -> anyhow::Result<u32> {
    // Numbers from the last incomplete multiple would bias the result towards small numbers.
    let limit = u32::MAX - u32::MAX % bound;
    loop {
        let number = u32::from_le_bytes(bytes()?);
        if number < limit {
            return Ok(number % bound);
        }
    }
}
