//! Families that only sockets have.

use std::fmt;

use super::{
    family::{FamilyOf, families},
    row::Row,
    writer::Exposition,
};
use crate::inventory::unit::{Details, Socket};

families! {
    [Sockets]
    ACCEPTED: Counter "systemd_socket_accepted_connections_total" ["name"]
        "Connections accepted by the socket (NAccepted). Always 0 without Accept=yes.";
    CURRENT: Gauge "systemd_socket_current_connections" ["name"]
        "Open connections of the socket (NConnections). Always 0 without Accept=yes.";
    REFUSED: Counter "systemd_socket_refused_connections_total" ["name"]
        "Connections refused by the socket (NRefused). Absent before systemd 239.";
}

pub(super) fn encode(rows: &[Row<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    column(rows, out, &ACCEPTED, |socket| socket.accepted)?;
    column(rows, out, &CURRENT, |socket| socket.connections)?;
    column(rows, out, &REFUSED, |socket| socket.refused)
}

pub(super) fn column<'r, 'a: 'r>(
    rows: impl IntoIterator<Item = &'r Row<'a>>,
    out: &mut Exposition<'_>,
    family: &'static FamilyOf<1>,
    value: impl Fn(&Socket) -> Option<u64>,
) -> fmt::Result {
    let mut samples = out.family(family);
    for row in rows {
        if let Some(Details::Socket(socket)) = row.unit.map(|unit| &unit.details) {
            samples.of(row.user).add_some([row.name], value(socket))?;
        }
    }
    Ok(())
}
