# Builds unitwatch from this directory; module.nix takes it by default.
{ lib, rustPlatform }:

rustPlatform.buildRustPackage {
  pname = "unitwatch";
  version = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).package.version;
  # What Cargo has left here is large, and of no use there.
  src = lib.cleanSourceWith {
    src = lib.cleanSource ./.;
    filter = path: _: path != toString ./target;
  };
  cargoLock.lockFile = ./Cargo.lock;
  # The tests take a systemd of their own; tests/run has one.
  doCheck = false;
  meta = {
    description = "Prometheus exporter for systemd that subscribes to its signals instead of polling";
    license = with lib.licenses; [ asl20 mit ];
    mainProgram = "unitwatch";
    platforms = lib.platforms.linux;
  };
}
