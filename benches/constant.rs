//! An HTTP server that responds to every request with the same bytes. Its figures are the floor of `query`: what this machine and
//! the load generator take without Pollux.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The size in bytes of the body, which is that of Pollux's response to `query`.
const SIZE: usize = 1024;

pub async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // `Process::spawn` reads the address from this line, so it has the format in which Pollux logs its own.
    eprintln!("the constant response is at http://{}/", listener.local_addr().unwrap());
    let body = Bytes::from(format!("\"{}\"", "x".repeat(SIZE - 2)));
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        connection.set_nodelay(true).unwrap();
        let body = body.clone();
        tokio::spawn(async move {
            let respond = service_fn(async |request: Request<Incoming>| {
                let _ = request.into_body().collect().await;
                let mut response = Response::new(Full::new(body.clone()));
                response.headers_mut().insert("content-type", "application/json".parse().unwrap());
                Ok::<_, Infallible>(response)
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), respond).await;
        });
    }
}
