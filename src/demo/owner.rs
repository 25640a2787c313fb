//! Waits for the manager's name on its bus: it says it is ready before it has asked for the name.

use crate::systemd::{
    address::{Address, ManagerScope},
    event::Event,
    link::{Heard, Link, Lost, OpenError},
    question::{CallError, MATCH_RULES, Question},
};

/// Why nobody owns systemd's name on a bus.
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

/// Returns once somebody on the bus at `address` owns systemd's name. The caller sets the time.
pub(super) async fn of_systemd(address: String) -> Result<(), NoOwner> {
    let mut link = Link::open(&Address::Bus { scope: ManagerScope::User, address }).await?;
    // Listening first and asking then misses no change in between.
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
            // Nobody yet.
            _ => {}
        }
    }
}
