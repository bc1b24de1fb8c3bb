//! What operations hold in memory: what they have read and what they answer, counted while they resolve.
//!
//! ```text
//!  request (a batch is one) ──► user, or network of anonymous callers ──► process
//! ```
//!
//! A request that reaches its own bound asked for too much. One that reaches a bound further out came at a bad time, and may
//! succeed when others have ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::error::Error;

const MIB: usize = 1024 * 1024;

/// Bytes of an answer.
const ANSWER: usize = 8 * MIB;
/// Bytes of the rows that a request reads.
const READ: usize = 16 * MIB;
/// Bytes that the requests of a user hold at once, or those of anonymous callers from one network.
const USER: usize = 48 * MIB;
/// The same of all.
const PROCESS: usize = 128 * MIB;
/// When it may be worthwhile to try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Pools without a holder are dropped when there are this many more than after the last time.
const SWEEP_EVERY: usize = 1000;

/// Bytes that are held, each by somebody who gives them back.
#[derive(Debug)]
struct Pool {
    limit: usize,
    held: AtomicUsize,
}

impl Pool {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicUsize::new(0) })
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limit;
        if !taken {
            self.give_back(bytes);
        }
        taken
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The pools of a process.
#[derive(Debug)]
pub struct Memory {
    process: Arc<Pool>,
    users: Mutex<(HashMap<String, Weak<Pool>>, usize)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { process: Pool::new(PROCESS), users: Mutex::default() }
    }
}

impl Memory {
    /// The account of a request by this user, or from this network.
    #[must_use]
    pub fn request(&self, owner: &str) -> Arc<Account> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let (pools, after_last) = &mut *users;
        let user = pools.get(owner).and_then(Weak::upgrade).unwrap_or_else(|| {
            let pool = Pool::new(USER);
            pools.insert(owner.to_owned(), Arc::downgrade(&pool));
            pool
        });
        if pools.len() > *after_last + SWEEP_EVERY {
            pools.retain(|_, pool| pool.strong_count() > 0);
            *after_last = pools.len();
        }
        Account::new(user, self.process.clone())
    }
}

/// What one request holds.
#[derive(Debug)]
pub struct Account {
    user: Arc<Pool>,
    process: Arc<Pool>,
    read: AtomicUsize,
    answered: AtomicUsize,
}

impl Account {
    fn new(user: Arc<Pool>, process: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { user, process, read: AtomicUsize::new(0), answered: AtomicUsize::new(0) })
    }

    /// An account of another request by the same user.
    #[must_use]
    pub fn another(&self) -> Arc<Self> {
        Self::new(self.user.clone(), self.process.clone())
    }

    /// Counts a row that has been read.
    ///
    /// # Errors
    /// [`Error::TooMuch`] or [`Error::RateLimited`].
    pub fn read(&self, bytes: usize) -> Result<(), Error> {
        self.take(&self.read, "bytes read", READ, bytes)
    }

    /// Counts a part of the answer.
    ///
    /// # Errors
    /// [`Error::TooMuch`] or [`Error::RateLimited`].
    pub(super) fn answer(&self, bytes: usize) -> Result<(), Error> {
        self.take(&self.answered, "answer", ANSWER, bytes)
    }

    fn take(&self, count: &AtomicUsize, limit: &'static str, max: usize, bytes: usize) -> Result<(), Error> {
        if count.load(Ordering::Relaxed).saturating_add(bytes) > max {
            return Err(Error::TooMuch { limit, max });
        }
        if !self.user.take(bytes) {
            return Err(Error::rate_limited(RETRY_AFTER));
        }
        if !self.process.take(bytes) {
            self.user.give_back(bytes);
            return Err(Error::rate_limited(RETRY_AFTER));
        }
        count.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives everything back: what was held is gone.
    pub fn clear(&self) {
        let held = self.read.swap(0, Ordering::Relaxed) + self.answered.swap(0, Ordering::Relaxed);
        self.user.give_back(held);
        self.process.give_back(held);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_a_user_and_the_process_have_their_bounds_and_get_back_what_ends() {
        let memory = Memory::default();
        let one = memory.request("a");
        assert!(one.answer(ANSWER).is_ok());
        assert!(matches!(one.answer(1), Err(Error::TooMuch { limit: "answer", max: ANSWER })));
        assert!(one.read(READ).is_ok());
        assert!(matches!(one.read(1), Err(Error::TooMuch { limit: "bytes read", max: READ })));
        let full = |owner: &str| {
            let requests = std::iter::repeat_with(|| memory.request(owner));
            requests.take_while(|request| request.read(READ).is_ok()).take(100).collect::<Vec<_>>()
        };
        let others = full("a");
        assert_eq!(others.len(), (USER - ANSWER - READ) / READ);
        assert!(matches!(memory.request("a").read(READ), Err(Error::RateLimited { .. })));
        drop(one);
        assert!(memory.request("a").read(READ).is_ok());
        let of_others: Vec<_> = (0..10).map(|user| full(&user.to_string())).collect();
        let held: usize = of_others.iter().map(Vec::len).sum::<usize>() + others.len();
        assert_eq!(held, PROCESS / READ, "all users together");
        drop((others, of_others));
        assert_eq!(full("b").len(), USER / READ);
        for user in 0..5 * SWEEP_EVERY {
            drop(memory.request(&user.to_string()));
        }
        assert!(memory.users.lock().unwrap().0.len() <= 2 * SWEEP_EVERY);
    }
}
