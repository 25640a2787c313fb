//! Families that only sockets have.

use std::fmt;

use super::{
    column::Column,
    family::{FamilyOf, families},
    row::Row,
    writer::Exposition,
};
use crate::inventory::unit::Details;

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
    encode_as([&ACCEPTED, &CURRENT, &REFUSED], rows, out)
}

/// Encodes the sockets among the rows: accepted, open and refused connections.
pub(super) fn encode_as<'r, 'a: 'r>(
    families: [&'static FamilyOf<1>; 3],
    rows: impl IntoIterator<Item = &'r Row<'a>>,
    out: &mut Exposition<'_>,
) -> fmt::Result {
    let [mut accepted, mut current, mut refused] = families.map(|family| Column::new(family, out));
    for row in rows {
        if let Some(Details::Socket(socket)) = row.unit.map(|unit| &unit.details) {
            accepted.add_some(row, socket.accepted);
            current.add_some(row, socket.connections);
            refused.add_some(row, socket.refused);
        }
    }
    accepted.write(out)?;
    current.write(out)?;
    refused.write(out)
}
