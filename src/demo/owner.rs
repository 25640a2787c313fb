//! Waits for the manager's name on its bus, which it requests only after it has reported ready.

use crate::systemd::{
    address::{Address, ManagerScope},
    event::Event,
    link::{Heard, Link, Lost, OpenError},
    question::{CallError, MATCH_RULES, Question},
};

/// Why systemd's name on a bus has no owner.
#[derive(Debug, thiserror::Error)]
pub enum NoOwner {
    /// There is no bus.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The bus went away.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The bus does not answer.
    #[error(transparent)]
    Silent(CallError),
}

/// Waits, without a deadline, until systemd's name on the bus at `address` has an owner.
pub(super) async fn of_systemd(address: String) -> Result<(), NoOwner> {
    let mut link = Link::open(&Address::Bus { scope: ManagerScope::User, address }).await?;
    // Subscribes before it asks, so that no change is missed in between.
    for rule in MATCH_RULES {
        link.ask(Question::Match(rule))?;
    }
    link.ask(Question::Owner)?;
    loop {
        match link.hear().await? {
            Heard::Answer(Question::Owner, Ok(_))
            | Heard::Signal { event: Ok(Some(Event::OwnerChanged { owner: Some(_) })), .. } => {
                return Ok(());
            }
            Heard::Answer(_, Err(error @ CallError::Deadline)) => {
                return Err(NoOwner::Silent(error));
            }
            // No owner yet.
            _ => {}
        }
    }
}
