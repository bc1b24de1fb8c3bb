//! A cable between a process and a server, to be cut.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    /// Connections break, and new ones are refused.
    Cut,
    /// Nothing passes, and nobody is told.
    Silent,
}

pub struct Cable {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Cable {
    /// To the server that a URL names.
    pub async fn to(url: &str) -> Self {
        let (_, rest) = url.split_once("://").unwrap();
        let authority = rest.split('/').next().unwrap();
        let target: SocketAddr = authority.rsplit('@').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, states) = watch::channel(State::Whole);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (incoming, _) = listener.accept().await.unwrap();
                connections.spawn(pass(incoming, target, states.clone()));
            }
        });
        Self { address, state, task }
    }

    /// The URL with this cable instead of the server.
    pub fn instead_of(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        format!("{scheme}://{user}{}/{path}", self.address)
    }

    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    pub fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut incoming: TcpStream, target: SocketAddr, mut states: watch::Receiver<State>) {
    if *states.borrow() == State::Cut {
        return;
    }
    let mut outgoing = TcpStream::connect(target).await.unwrap();
    for stream in [&incoming, &outgoing] {
        stream.set_nodelay(true).unwrap();
    }
    loop {
        let state = *states.borrow_and_update();
        tokio::select! {
            _ = copy_bidirectional(&mut incoming, &mut outgoing), if state == State::Whole => return,
            _ = states.changed() => {}
        }
        if *states.borrow() == State::Cut {
            return;
        }
    }
}
