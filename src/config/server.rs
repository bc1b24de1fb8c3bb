//! Settings of the HTTP server: address, origins, proxies, connections.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
};

use ipnet::IpNet;

use super::Switch;

#[derive(Clone, Debug, clap::Args)]
pub struct ServerSettings {
    /// Address and port to listen on [default: 127.0.0.1:8000]
    #[arg(long, env = "BIND", hide_env_values = true, value_parser = socket_address)]
    bind: Option<SocketAddr>,

    /// Port to listen on at all IPv4 addresses; many hosting platforms set it. BIND takes precedence
    #[arg(long, env = "PORT", hide_env_values = true, value_parser = super::number::<u16>(0..=65_535))]
    port: Option<u16>,

    /// Origins of the web pages that may use the API, separated by commas; `*` for any [default: pages on this machine, such
    /// as http://localhost:5173, on any port]
    ///
    /// Pages served by Pollux itself are always allowed.
    #[arg(long, env = "CORS_ORIGINS", hide_env_values = true)]
    cors_origins: Option<String>,

    /// The web page: a chat at `/`, and GraphiQL at `/graphiql`
    #[arg(long, env = "PLAYGROUND", hide_env_values = true, default_value = "on")]
    pub playground: Switch,

    /// Addresses or networks of the proxies whose X-Forwarded-For and Forwarded headers are trusted, separated by commas, as
    /// in 10.0.0.0/8
    #[arg(long, env = "TRUSTED_PROXIES", hide_env_values = true, value_delimiter = ',', value_parser = network)]
    trusted_proxies: Vec<IpNet>,

    /// Maximum concurrent connections, WebSockets included; further ones wait to be accepted
    #[arg(long, env = "MAX_CONNECTIONS", hide_env_values = true, default_value = "10000", value_parser = super::number::<NonZeroUsize>(1..=1_000_000))]
    pub max_connections: NonZeroUsize,

    /// Maximum concurrent connections from one address, except this machine and trusted proxies; further ones are closed
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", hide_env_values = true, default_value = "200", value_parser = super::number::<NonZeroUsize>(1..=1_000_000))]
    pub max_connections_per_address: NonZeroUsize,
}

/// Parses an address with a port.
fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "must be an IP address and a port, as in 127.0.0.1:8000, 0.0.0.0:8000 or [::]:8000".to_owned()
    })
}

/// Parses a network, or an address as a network of one address.
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

    /// The address to listen on if BIND or PORT is set. A process that only runs jobs listens only then, for health checks.
    #[must_use]
    pub fn explicit_bind_address(&self) -> Option<SocketAddr> {
        (self.bind.is_some() || self.port.is_some()).then(|| self.bind_address())
    }

    /// The address of the client. The search begins with the peer and goes through `forwarded_for` from its end, because each
    /// proxy appends the address of its own peer. It ends at the first address that is not of a trusted proxy: entries before
    /// that one may be forged. A `None` is an entry that is not an IP address; it also ends the search.
    #[must_use]
    pub fn client(&self, peer: IpAddr, forwarded_for: &[Option<IpAddr>]) -> IpAddr {
        let mut client = peer.to_canonical();
        for previous in forwarded_for.iter().rev() {
            let Some(previous) = previous else { break };
            if !self.is_trusted_proxy(client) {
                break;
            }
            client = previous.to_canonical();
        }
        client
    }

    /// Whether an address, in its canonical form, belongs to a trusted proxy.
    #[must_use]
    pub fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Whether the limit of connections per address does not apply to this peer, because it may be a proxy with many clients.
    #[must_use]
    pub fn is_exempt_from_per_address_limit(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_loopback() || self.is_trusted_proxy(peer)
    }

    /// Whether a page of this origin, such as `https://chat.example`, may use the API. A page of the server's own origin always
    /// may. `host` is the Host header with its port, by which the own origin is recognized.
    #[must_use]
    pub fn allows_origin(&self, origin: &str, host: Option<&str>) -> bool {
        let is_local = || host_of(origin).is_some_and(is_local_name);
        let is_listed = match &self.cors_origins {
            Some(list) => {
                super::items(list).any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
            }
            None => is_local(),
        };
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        is_listed || host.zip(authority).is_some_and(|(host, authority)| host.eq_ignore_ascii_case(authority))
    }

    /// Whether a Host header, given without its port, is accepted. To prevent DNS rebinding, a server on a loopback address
    /// accepts only local names and the hosts of its pages, which are those in CORS_ORIGINS and in the URL `frontend`. A server
    /// on another address, or with CORS_ORIGINS=`*`, accepts all names.
    #[must_use]
    pub fn allows_host(&self, host: &str, frontend: Option<&str>) -> bool {
        let origins = super::items(self.cors_origins.as_deref().unwrap_or_default());
        let has_this_host =
            |url: &str| host_of(url).is_some_and(|url_host| url_host.eq_ignore_ascii_case(host));
        !self.bind_address().ip().is_loopback()
            || is_local_name(host)
            || origins.chain(frontend).any(|origin| origin == "*" || has_this_host(origin))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        for origin in super::items(self.cors_origins.as_deref().unwrap_or_default()) {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            if origin != "*" && (host.is_empty() || host.contains('/')) {
                return Err(format!(
                    "CORS_ORIGINS: `{origin}` is not an origin. An origin is a scheme and a host without a path, as in \
                     https://chat.example, or `*`."
                ));
            }
        }
        Ok(())
    }
}

/// The host of an origin or another URL, without a port.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        // An IPv6 address, with both of its brackets.
        Some(after_bracket) => Some(&authority[..after_bracket.find(']')? + 2]),
        None => authority.split(':').next(),
    }
}

/// Whether a host, given without a port, always means this machine: `localhost`, `*.localhost`, 127.0.0.0/8 or `[::1]`.
fn is_local_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    host == "localhost"
        || host.ends_with(".localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
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

    fn settings(arguments: &[&str]) -> ServerSettings {
        Cli::parse_from([""].iter().chain(arguments)).settings
    }

    #[test]
    fn only_headers_of_trusted_proxies_are_used() {
        let settings = settings(&["--trusted-proxies=10.0.0.0/8, ::1"]);
        let client = |peer: &str, forwarded: &str| {
            let forwarded: Vec<_> = forwarded.split(", ").map(|address| address.parse().ok()).collect();
            settings.client(peer.parse().unwrap(), &forwarded).to_string()
        };
        assert_eq!(client("203.0.113.9", "198.51.100.1"), "203.0.113.9", "the peer is not trusted");
        assert_eq!(client("10.1.2.3", "198.51.100.1"), "198.51.100.1");
        assert_eq!(
            client("::1", "1.1.1.1, 198.51.100.1, 10.9.9.9"),
            "198.51.100.1",
            "the first entry may be forged"
        );
        assert_eq!(client("::ffff:10.1.2.3", "2001:db8::1"), "2001:db8::1");
        for unusable in ["", "unknown", "198.51.100.1, unknown"] {
            assert_eq!(client("10.1.2.3", unusable), "10.1.2.3", "{unusable}");
        }
    }

    const LOCAL: [&str; 7] =
        ["localhost", "LOCALHOST", "localhost.", "app.localhost", "127.0.0.1", "127.8.8.8", "[::1]"];
    const FOREIGN: [&str; 5] =
        ["evil.example", "localhost.evil.example", "notlocalhost", "192.168.1.2", "[2001:db8::1]"];

    #[test]
    fn local_pages_are_allowed_unless_origins_are_listed() {
        let (default, listed) = (settings(&[]), settings(&["--cors-origins=https://Chat.example"]));
        for host in LOCAL {
            for port in ["", ":3000", ":4173", ":4200"] {
                let origin = format!("http://{host}{port}");
                assert!(default.allows_origin(&origin, None), "{origin}");
                assert!(!listed.allows_origin(&origin, None), "{origin}");
            }
        }
        for origin in
            FOREIGN.map(|host| format!("http://{host}:3000")).iter().map(String::as_str).chain(["null"])
        {
            assert!(!default.allows_origin(origin, None), "{origin}");
        }
        assert!(listed.allows_origin("HTTPS://chat.EXAMPLE", None), "in any letter case");
        assert!(!listed.allows_origin("http://chat.example", None), "another scheme");
        assert!(listed.allows_origin("https://api.example", Some("API.example")), "the server's own origin");
    }

    #[test]
    fn a_loopback_server_accepts_only_local_hosts_and_hosts_of_its_pages() {
        let listed = ["--cors-origins=https://chat.example:8443"];
        let (default, listed, public, any) = (
            settings(&[]),
            settings(&listed),
            settings(&["--bind=0.0.0.0:80"]),
            settings(&["--cors-origins=*"]),
        );
        for host in LOCAL {
            assert!(default.allows_host(host, None) && listed.allows_host(host, None), "{host}");
        }
        for host in FOREIGN {
            assert!(!default.allows_host(host, None) && !listed.allows_host(host, None), "{host}");
            assert!(public.allows_host(host, None) && any.allows_host(host, None), "{host}");
        }
        assert!(listed.allows_host("Chat.example", None));
        assert!(default.allows_host("shop.example", Some("https://shop.example:444/chat")));
    }
}
