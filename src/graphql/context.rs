//! What a resolver knows about the request.

use std::sync::Arc;

use async_graphql::{Context, dataloader::DataLoader};

use super::loaders::Batches;
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
}

/// The viewer.
///
/// # Errors
/// [`Error::Unauthenticated`].
pub(super) fn viewer(ctx: &Context<'_>) -> Result<Viewer> {
    ctx.data_unchecked::<RequestContext>().identity.map_err(Error::Unauthenticated)
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
