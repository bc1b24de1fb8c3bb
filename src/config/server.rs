//! Where the server listens, and which pages may talk to it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
};

use ipnet::IpNet;

#[derive(Clone, Debug, clap::Args)]
pub struct ServerSettings {
    /// The address to listen on [default: 127.0.0.1:8000]
    #[arg(long, env = "BIND", hide_env_values = true, value_parser = socket_address)]
    bind: Option<SocketAddr>,

    /// The port to listen on, on every address; what platforms set. BIND wins
    #[arg(long, env = "PORT", hide_env_values = true, value_parser = super::number::<u16>(0..=65_535))]
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

    /// Addresses or networks of the proxies whose X-Forwarded-For is believed, separated by commas, as in 10.0.0.0/8
    #[arg(long, env = "TRUSTED_PROXIES", hide_env_values = true, value_delimiter = ',', value_parser = network)]
    trusted_proxies: Vec<IpNet>,

    /// Connections at once, sockets included; more wait to be accepted
    #[arg(long, env = "MAX_CONNECTIONS", hide_env_values = true, default_value = "10000", value_parser = super::number::<NonZeroUsize>(1..=1_000_000))]
    pub max_connections: NonZeroUsize,

    /// Connections at once from one address that is neither this machine nor a trusted proxy; the next are closed
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", hide_env_values = true, default_value = "200", value_parser = super::number::<NonZeroUsize>(1..=1_000_000))]
    pub max_connections_per_address: NonZeroUsize,
}

/// Parses an address with a port.
fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "must be an IP address and a port, as in 127.0.0.1:8000, 0.0.0.0:8000 or [::]:8000".to_owned()
    })
}

/// Reads a network, or an address as one of its own.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = text.parse().map(|address: IpAddr| IpNet::from(address));
    address.or_else(|_| text.parse()).map_err(|_| {
        format!("must be IP addresses or networks separated by commas, as in 10.0.0.0/8; `{text}` is neither")
    })
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

    /// Where a request comes from: from its peer, unless that is a trusted proxy that says for whom it came. What the first
    /// that is not trusted says of itself is what it may have made up.
    #[must_use]
    pub fn client(&self, peer: IpAddr, forwarded_for: &str) -> IpAddr {
        let mut client = peer.to_canonical();
        for before in forwarded_for.rsplit(',') {
            let Ok(before) = before.trim().parse::<IpAddr>() else { break };
            if !self.trusts(client) {
                break;
            }
            client = before.to_canonical();
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Whether a peer may be many clients' proxy.
    #[must_use]
    pub fn speaks_for_many(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_loopback() || self.trusts(peer)
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: ServerSettings,
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let settings = Cli::parse_from(["", "--trusted-proxies=10.0.0.0/8, ::1"]).settings;
        let client = |peer: &str, forwarded| settings.client(peer.parse().unwrap(), forwarded).to_string();
        assert_eq!(client("203.0.113.9", "198.51.100.1"), "203.0.113.9", "whoever says so of itself");
        assert_eq!(client("10.1.2.3", "198.51.100.1"), "198.51.100.1");
        assert_eq!(client("::1", "1.1.1.1, 198.51.100.1, 10.9.9.9"), "198.51.100.1", "the first is made up");
        assert_eq!(client("::ffff:10.1.2.3", "2001:db8::1"), "2001:db8::1");
        for nothing in ["", "unknown", "198.51.100.1, unknown"] {
            assert_eq!(client("10.1.2.3", nothing), "10.1.2.3", "{nothing}");
        }
    }
}
