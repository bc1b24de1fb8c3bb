//! Where the server listens, and which pages may talk to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[derive(Clone, Debug, clap::Args)]
pub struct ServerSettings {
    /// The address to listen on [default: 127.0.0.1:8000]
    #[arg(long, env = "BIND", hide_env_values = true)]
    bind: Option<SocketAddr>,

    /// The port to listen on, on every address; what platforms set. BIND wins
    #[arg(long, env = "PORT", hide_env_values = true)]
    port: Option<u16>,

    /// Origins of the web pages that may call the API and open sockets, separated by commas; `*` for any
    ///
    /// A page served by Pollux itself may always.
    #[arg(
        long,
        env = "CORS_ORIGINS",
        hide_env_values = true,
        default_value = "http://localhost:3000,http://localhost:5173"
    )]
    cors_origins: String,
}

impl ServerSettings {
    /// The address to listen on.
    #[must_use]
    pub fn bind_address(&self) -> SocketAddr {
        match (self.bind, self.port) {
            (Some(address), _) => address,
            (None, Some(port)) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
            (None, None) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000),
        }
    }

    /// The address to listen on, if one was set: where a process that serves no API says how it is.
    #[must_use]
    pub fn set_address(&self) -> Option<SocketAddr> {
        (self.bind.is_some() || self.port.is_some()).then(|| self.bind_address())
    }

    /// Whether a page of this origin, such as `https://chat.example`, may use the API. `host` is the request's own host.
    #[must_use]
    pub fn allows_origin(&self, origin: &str, host: Option<&str>) -> bool {
        let own = || host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, of)| of == host));
        super::items(&self.cors_origins).any(|allowed| allowed == "*" || allowed == origin) || own()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        for origin in super::items(&self.cors_origins) {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            if origin != "*" && (host.is_empty() || host.contains('/')) {
                return Err(format!(
                    "CORS_ORIGINS: `{origin}` is not an origin. Write scheme and host without a path, as in \
                     https://chat.example, or `*`."
                ));
            }
        }
        Ok(())
    }
}
