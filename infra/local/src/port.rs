//! Finds free TCP ports on 127.0.0.1 and checks whether a port is in use.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A free port. Another program can take it before the caller uses it.
///
/// # Errors
/// There is no free port.
pub fn free() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Checks that a port is free. `option` is the command-line option to name in the error.
///
/// # Errors
/// The port is in use, or this user may not use it.
pub fn ensure_free(port: u16, option: &str) -> Result<()> {
    // On some systems a bind to 127.0.0.1 succeeds although a program listens on all addresses, so try to
    // connect too.
    if answers(port) {
        bail!("port {port} on 127.0.0.1 is in use by another program; choose another with {option}");
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("port {port} on 127.0.0.1 cannot be used; choose another with {option}"))?;
    Ok(())
}

/// Whether a program accepts connections on a port.
pub fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_option() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = ensure_free(port, "--port").unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("--port"), "{error}");

        drop(listener);
        ensure_free(port, "--port").unwrap();
    }

    #[test]
    fn a_listener_on_every_address_counts() {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(ensure_free(listener.local_addr().unwrap().port(), "--port").is_err());
    }
}
