//! HTTP: routes, and operations over its transports.

mod backlog;
mod body;
mod budget;
mod connection;
mod cors;
mod forwarded;
mod graphql;
mod health;
mod host;
mod json;
mod my_data;
mod page;
mod params;
mod peers;
mod router;
mod serve;
mod socket;
mod stripe_webhook;

use std::{net::SocketAddr, sync::Arc};

use axum::http::{HeaderMap, header};
use futures_util::{
    FutureExt,
    future::{self, BoxFuture},
};

use crate::{
    config::ServerSettings,
    domain::{
        auth::{Auth, Caller},
        billing::Billing,
    },
    error::{Error, Result},
    graphql::{Executor, Identity, RequestContext},
    lifecycle::Lifecycle,
};

pub use health::Health;
pub use router::router;
pub use serve::serve;

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    pub executor: Executor,
    pub auth: Auth,
    pub billing: Billing,
    pub settings: Arc<ServerSettings>,
    pub life: Lifecycle,
    pub health: Health,
    /// Whether the schema tells of itself, and the page shows it.
    pub is_open: bool,
}

impl Api {
    /// Where a request comes from.
    fn caller(&self, peer: SocketAddr, headers: &HeaderMap) -> Caller {
        Caller {
            address: self.settings.client(peer.ip(), &forwarded::addresses(headers)),
            user_agent: text(headers, &header::USER_AGENT).map(str::to_owned),
            is_forwarded: forwarded::is_forwarded(headers),
        }
    }

    /// What is known of a request apart from its document.
    ///
    /// # Errors
    /// Ours: a token that does not hold is told by the identity, since some operations need none.
    async fn context(&self, authorization: Option<&str>, caller: Caller) -> Result<RequestContext> {
        let identity = self.identify(authorization).await?;
        let request_id = uuid::Uuid::now_v7().to_string().into();
        let owner = match &identity {
            Ok(viewer) => viewer.user.to_string(),
            Err(_) => caller.network().to_string(),
        };
        let memory = self.executor.memory.request(&owner);
        let (place, allowance) = Default::default();
        Ok(RequestContext { identity, caller, request_id, place, allowance, memory, turns: Arc::default() })
    }

    /// Resolves once the viewer's access token has expired or the session has ended; never for a stranger.
    fn signed_out(&self, identity: &Identity) -> BoxFuture<'static, ()> {
        let Ok(viewer) = *identity else { return future::pending().boxed() };
        let left = (viewer.until - self.auth.clock.now()).to_std().unwrap_or_default();
        let auth = self.auth.clone();
        async move {
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = auth.session_ended(viewer.session) => {}
            }
        }
        .boxed()
    }

    async fn identify(&self, authorization: Option<&str>) -> Result<Identity> {
        let Some(authorization) = authorization else {
            return Ok(Err("Sign in first: there is no access token."));
        };
        let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Err("The Authorization header must be `Bearer` and an access token."));
        }
        match self.auth.authenticate(token.trim()).await {
            Ok(viewer) => Ok(Ok(viewer)),
            Err(Error::Unauthenticated(why)) => Ok(Err(why)),
            Err(error) => Err(error),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The parts of a header value, where a separator in quotes does not separate.
fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}
