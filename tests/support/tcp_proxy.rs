//! A TCP proxy that can break or stall the connections between a process and a server.

use std::{future, net::SocketAddr};

use tokio::{
    io::{copy, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Forwarding,
    /// Existing and new connections are closed.
    Disconnected,
    /// Nothing is forwarded, and connections stay open.
    Stalled,
    /// Data from the process is forwarded; responses of the server are not.
    Unresponsive,
}

pub struct TcpProxy {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl TcpProxy {
    /// Starts a proxy in front of the server to which a URL points.
    pub async fn start(url: &str) -> Self {
        let (_, rest) = url.split_once("://").unwrap();
        let authority = rest.split('/').next().unwrap();
        let target: SocketAddr = authority.rsplit('@').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, states) = watch::channel(State::Forwarding);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (incoming, _) = listener.accept().await.unwrap();
                connections.spawn(forward(incoming, target, states.clone()));
            }
        });
        Self { address, state, task }
    }

    /// The URL with the proxy's address.
    pub fn proxied_url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        format!("{scheme}://{user}{}/{path}", self.address)
    }

    /// Closes the connections, and new ones at once.
    pub fn disconnect(&self) {
        self.state.send_replace(State::Disconnected);
    }

    /// Forwards nothing, but keeps the connections open.
    pub fn stall(&self) {
        self.state.send_replace(State::Stalled);
    }

    /// Forwards data from the process, but holds the server's responses back.
    pub fn silence(&self) {
        self.state.send_replace(State::Unresponsive);
    }

    /// Forwards in both directions again.
    pub fn restore(&self) {
        self.state.send_replace(State::Forwarding);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut incoming: TcpStream, target: SocketAddr, mut states: watch::Receiver<State>) {
    if *states.borrow() == State::Disconnected {
        return;
    }
    let mut outgoing = TcpStream::connect(target).await.unwrap();
    for stream in [&incoming, &outgoing] {
        stream.set_nodelay(true).unwrap();
    }
    loop {
        let state = *states.borrow_and_update();
        tokio::select! {
            () = transfer(state, &mut incoming, &mut outgoing) => return,
            _ = states.changed() => {}
        }
        if *states.borrow() == State::Disconnected {
            return;
        }
    }
}

/// Forwards data as the state allows, until one side closes the connection.
async fn transfer(state: State, incoming: &mut TcpStream, outgoing: &mut TcpStream) {
    // An error means that the connection is broken, which ends it like closing.
    match state {
        State::Forwarding => drop(copy_bidirectional(incoming, outgoing).await),
        State::Unresponsive => drop(copy(incoming, outgoing).await),
        State::Disconnected | State::Stalled => future::pending().await,
    }
}
