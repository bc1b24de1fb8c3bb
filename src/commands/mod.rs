//! The commands of an operator.

pub mod admin;
mod table;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};
use pollux::{
    app::{self, operator},
    config::{Config, Role},
    store::Db,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

pub async fn migrate(config: Config) -> anyhow::Result<()> {
    let db = Db::open(&config.database).await?;
    let applied = db.migrate().await?;
    db.close().await;
    for migration in &applied {
        println!("applied {migration}");
    }
    match applied.len() {
        0 => println!("no pending migrations: the schema is up to date"),
        count => println!("{count} migrations applied: the schema is up to date"),
    }
    Ok(())
}

pub async fn replay(config: Config, events: Vec<String>) -> anyhow::Result<()> {
    for event in app::replay(&config, events).await? {
        println!("{event} queued for processing");
    }
    Ok(())
}

pub async fn back_up(config: Config, file: PathBuf) -> anyhow::Result<()> {
    let bytes = operator::back_up(&config, &file).await?;
    println!("{} written and checked: {bytes} bytes", file.display());
    if config.auth.jwt_secret.is_none() {
        println!(
            "jwt_secret is not in the copy: back it up separately, or all users must sign in again after a restore"
        );
    }
    Ok(())
}

/// Prints one line for each check.
///
/// # Errors
/// A check has failed.
pub async fn check(role: Role, config: Config) -> anyhow::Result<()> {
    let findings = Box::pin(operator::check(role, &config)).await;
    let mut failed = 0;
    for (subject, finding) in findings {
        match finding {
            Ok(found) => println!("ok      {subject:<9} {found}"),
            Err(problem) => {
                failed += 1;
                println!("FAILED  {subject:<9} {problem}");
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of the checks failed");
    }
    Ok(())
}

/// Requests `/health/ready` from the server that runs on this machine with the same settings as this command.
///
/// # Errors
/// The server does not respond, or is not ready.
pub async fn health(config: Config) -> anyhow::Result<()> {
    // A worker serves its health checks only with its metrics, unless BIND or PORT is set.
    let addresses = [Some(config.server.bind_address()), config.metrics.address()];
    let mut last_error = None;
    for address in addresses.into_iter().flatten().map(reachable_address) {
        match timeout(HEALTH_TIMEOUT, request_readiness(address)).await {
            Ok(Ok((status, body))) if status == "200" => {
                println!("{}", body.trim());
                return Ok(());
            }
            Ok(Ok((status, body))) => bail!("{address} returned {status}: {}", body.trim()),
            Ok(Err(error)) => last_error = Some(error.context(format!("{address} does not respond"))),
            Err(_) => last_error = Some(anyhow::anyhow!("{address} did not respond in time")),
        }
    }
    Err(last_error.context("no address is configured")?)
}

/// The address at which this machine reaches a server that listens on `address`. If the server listens on all addresses, it is
/// the loopback address.
fn reachable_address(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Requests `/health/ready`, and returns the status and the body of the response.
async fn request_readiness(address: SocketAddr) -> anyhow::Result<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = "GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let (head, body) = response.split_once("\r\n\r\n").context("the response is not HTTP")?;
    let status = head.split_whitespace().nth(1).context("the response is not HTTP")?;
    Ok((status.to_owned(), body.to_owned()))
}
