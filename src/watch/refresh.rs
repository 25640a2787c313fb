//! A refresh: one round of questions about what systemd never signals, shared by the scrapes that
//! wait for it.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::{
    inventory::Inventory,
    systemd::{property::ManagerProperty, question::Question},
};

/// The round under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    to_ask: VecDeque<Question>,
    under_way: Vec<Question>,
    waiting: Vec<oneshot::Sender<()>>,
    /// A question was not answered.
    failed: bool,
}

// === impl Refresh ===

impl Refresh {
    pub(super) fn is_idle(&self) -> bool {
        self.to_ask.is_empty() && self.under_way.is_empty()
    }

    /// Adds a scrape that waits for the end of the refresh.
    pub(super) fn join(&mut self, waiting: oneshot::Sender<()>) {
        self.waiting.push(waiting);
    }

    /// Begins a round, unless one is under way.
    pub(super) fn begin(&mut self, inventory: &mut Inventory) {
        if !self.is_idle() {
            return;
        }
        let device = inventory.manager().watchdog.device.as_deref().unwrap_or_default();
        let watchdog: &[ManagerProperty] = match device {
            "" => &[],
            _ if !inventory.reads().watchdog => &[],
            _ => &[
                ManagerProperty::WatchdogRuntime,
                ManagerProperty::WatchdogLastPing,
                ManagerProperty::WatchdogLastPingMonotonic,
            ],
        };
        let manager = [ManagerProperty::SystemState];
        let manager = manager.iter().chain(watchdog).copied().map(Question::Manager);
        let units = inventory.scrape_questions().into_iter();
        self.to_ask = manager.chain(units.map(|(unit, it)| Question::Unit(unit, it))).collect();
    }

    /// The next question, to be asked now.
    pub(super) fn next_question(&mut self) -> Option<Question> {
        let question = self.to_ask.pop_front()?;
        self.under_way.push(question.clone());
        Some(question)
    }

    /// A question has ended, with an answer or without. It may not be one of this refresh.
    pub(super) fn answered(&mut self, question: &Question, answered: bool) {
        let before = self.under_way.len();
        self.under_way.retain(|asked| asked != question);
        self.failed |= !answered && self.under_way.len() < before;
    }

    /// Wakes the waiting scrapes if the refresh is over, and returns whether it is. If a question was
    /// not answered, their channels are dropped instead, which the scrapes see.
    pub(super) fn end(&mut self) -> bool {
        if !self.is_idle() {
            return false;
        }
        let failed = std::mem::take(&mut self.failed);
        for waiting in self.waiting.drain(..).filter(|_| !failed) {
            // The scrape may have been given up.
            let _ = waiting.send(());
        }
        true
    }

    /// Asks nothing more; the waiting scrapes get no answer.
    pub(super) fn give_up(&mut self) {
        self.to_ask.clear();
        self.waiting.clear();
    }

    /// A question to find out whether systemd answers again, unless one is under way.
    pub(super) fn probe(&mut self) -> Option<Question> {
        if !self.under_way.is_empty() {
            return None;
        }
        self.to_ask.push_back(Question::Manager(ManagerProperty::SystemState));
        self.next_question()
    }
}
