//! The services that the handlers of requests use, and the authentication of requests.

use std::{net::SocketAddr, sync::Arc};

use axum::http::{HeaderMap, header};
use futures_util::{
    FutureExt,
    future::{self, BoxFuture},
};

use super::{forwarded, headers::text, health::Health};
use crate::{
    config::ServerSettings,
    domain::{
        auth::{Auth, Caller},
        billing::Billing,
        chatrooms::Chatrooms,
    },
    error::{Error, Result},
    graphql::{Executor, Identity, MemoryOwner, RequestContext},
    lifecycle::Lifecycle,
    telemetry::metrics::TransportMetrics,
};

/// The services that the handlers of requests use.
#[derive(Clone)]
pub struct Api {
    pub executor: Arc<Executor>,
    pub auth: Auth,
    pub billing: Billing,
    pub chatrooms: Chatrooms,
    pub settings: Arc<ServerSettings>,
    pub life: Lifecycle,
    pub health: Health,
    pub metrics: TransportMetrics,
    /// Whether introspection is allowed and GraphiQL is served.
    pub allows_introspection: bool,
}

impl Api {
    /// The client that sends a request. `peer` is the other end of the connection: the client, or a proxy.
    pub(super) fn caller(&self, peer: SocketAddr, headers: &HeaderMap) -> Caller {
        Caller {
            address: self.settings.client(peer.ip(), &forwarded::addresses(headers)),
            user_agent: text(headers, &header::USER_AGENT).map(str::to_owned),
            is_forwarded: forwarded::is_forwarded(headers),
        }
    }

    /// Authenticates a request and creates its context. A missing or invalid token is not an error here, because some operations
    /// need no token. The identity in the context then holds the reason why the caller is anonymous.
    ///
    /// # Errors
    /// Internal errors.
    pub(super) async fn context(
        &self,
        authorization: Option<&str>,
        caller: Caller,
    ) -> Result<RequestContext> {
        let identity = self.identify(authorization).await?;
        let request_id = uuid::Uuid::now_v7().to_string().into();
        // The memory of all requests of one user, or of one anonymous network, is limited together.
        let memory_owner = match &identity {
            Ok(viewer) => MemoryOwner::User(viewer.user),
            Err(_) => MemoryOwner::Network(caller.network()),
        };
        let memory = self.executor.memory.request(memory_owner);
        let (mutation_rate, permits) = Default::default();
        Ok(RequestContext {
            identity,
            caller,
            request_id,
            trace_parent: None,
            transport: None,
            resume_after: None,
            mutation_rate,
            memory,
            permits,
        })
    }

    /// Waits until the viewer's access token has expired or the session has ended. Never resolves for an anonymous caller.
    pub(super) fn wait_for_sign_out(self: &Arc<Self>, identity: &Identity) -> BoxFuture<'static, ()> {
        let Ok(viewer) = *identity else { return future::pending().boxed() };
        let until_expiry = (viewer.until - self.auth.clock.now()).to_std().unwrap_or_default();
        let api = self.clone();
        async move {
            tokio::select! {
                () = tokio::time::sleep(until_expiry) => {}
                () = api.auth.session_ended(viewer.session) => {}
            }
        }
        .boxed()
    }

    /// The inner result is the identity: the viewer, or the reason why the caller is anonymous. The outer error is an internal
    /// one.
    async fn identify(&self, authorization: Option<&str>) -> Result<Identity> {
        let Some(authorization) = authorization else {
            return Ok(Err("Sign in first: the request has no access token."));
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
