//! What a resolver knows about the request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::{Context, dataloader::DataLoader};
use tokio::sync::Semaphore;

use super::{Allowance, engine::Account, loaders::Batches};
use crate::{
    domain::{
        auth::{Auth, Caller, Viewer},
        billing::Billing,
        chat::Chat,
    },
    error::{Error, Result},
};

/// Who asks: a viewer, or why there is none.
pub type Identity = Result<Viewer, &'static str>;

/// A request, apart from its document.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub identity: Identity,
    pub caller: Caller,
    /// Ties an internal error to its cause in the log.
    pub request_id: Arc<str>,
    pub place: Place,
    pub allowance: Left,
    /// What it holds. The operations of a batch share it.
    pub memory: Arc<Account>,
    pub turns: Arc<Turns>,
}

/// Operations of one connection that are resolved and written at once.
const TURNS: usize = 4;
/// Pages that its subscriptions hold at once.
const PAGES: usize = 4;

/// What the operations of one connection wait for, so that what they hold is bounded, however many they are.
#[derive(Debug)]
pub struct Turns {
    /// For each operation, or event of a subscription, that is resolved and written.
    pub(super) resolve: Semaphore,
    /// For each page of a backlog that a subscription holds.
    pub(super) pages: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { resolve: Semaphore::new(TURNS), pages: Arc::new(Semaphore::new(PAGES)) }
    }
}

/// What is left of the caller's allowance, once it has been counted.
#[derive(Clone, Debug, Default)]
pub struct Left(Arc<Mutex<Option<Allowance>>>);

impl Left {
    pub(super) fn set(&self, left: Allowance) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
    }

    #[must_use]
    pub fn get(&self) -> Option<Allowance> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestContext {
    /// The same, going on from this cursor, whatever the document says.
    #[must_use]
    pub fn from_place(self, cursor: &str) -> Self {
        Self { place: Place { after: Some(cursor.to_owned()), ..Place::default() }, ..self }
    }

    /// The same for another operation, which has a place and an id of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        let request_id = uuid::Uuid::now_v7().to_string().into();
        Self { request_id, place: Place::default(), memory: self.memory.another(), ..self.clone() }
    }
}

/// How far a subscription has come, for transports that tell it apart from the response.
#[derive(Clone, Debug, Default)]
pub struct Place {
    after: Option<String>,
    reached: Arc<Mutex<Option<String>>>,
}

impl Place {
    /// Where to begin: where the transport says, else where the argument does.
    pub(super) fn after(&self, argument: Option<String>) -> Option<String> {
        self.after.clone().or(argument)
    }

    pub(super) fn reach(&self, cursor: &impl ToString) {
        *self.lock() = Some(cursor.to_string());
    }

    /// The cursor of the response that has just been given.
    #[must_use]
    pub fn reached(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn place(ctx: &Context<'_>) -> Place {
    ctx.data_unchecked::<RequestContext>().place.clone()
}

/// The viewer.
///
/// # Errors
/// [`Error::Unauthenticated`].
pub(super) fn viewer(ctx: &Context<'_>) -> Result<Viewer> {
    ctx.data_unchecked::<RequestContext>().identity.map_err(Error::Unauthenticated)
}

pub(super) fn memory<'a>(ctx: &Context<'a>) -> &'a Account {
    &ctx.data_unchecked::<RequestContext>().memory
}

pub(super) fn caller<'a>(ctx: &Context<'a>) -> &'a Caller {
    &ctx.data_unchecked::<RequestContext>().caller
}

pub(super) fn auth<'a>(ctx: &Context<'a>) -> &'a Auth {
    ctx.data_unchecked::<Auth>()
}

pub(super) fn chat<'a>(ctx: &Context<'a>) -> &'a Chat {
    ctx.data_unchecked::<Chat>()
}

pub(super) fn billing<'a>(ctx: &Context<'a>) -> &'a Billing {
    ctx.data_unchecked::<Billing>()
}

/// Loads nested objects, all of a level in one query.
pub(super) fn loader<'a>(ctx: &Context<'a>) -> &'a DataLoader<Batches> {
    ctx.data_unchecked::<DataLoader<Batches>>()
}
