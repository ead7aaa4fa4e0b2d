//! placeholder
pub type Stream = tokio::net::TcpStream;
