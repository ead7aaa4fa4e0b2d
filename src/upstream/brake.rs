//! What holds the rows of a `COPY .. FROM STDIN` back on their way, for as long as that lasts.

use std::fmt::Debug;
use std::task::{Context, Poll};

use super::link::{Link, Lost};

/// Decides when more is read of a client that copies.
pub trait Brake: Debug {
    /// Ready when more may be read.
    fn poll(&mut self, cx: &mut Context<'_>, link: &mut Link) -> Poll<Result<(), Lost>>;
    /// So many bytes were read.
    fn passed(&mut self, bytes: usize);
}

/// Whether rows of a COPY are held back.
#[derive(Debug)]
pub enum Braking {
    /// They are not.
    Free,
    /// By this.
    By(Box<dyn Brake>),
}
