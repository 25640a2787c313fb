# Builds unitwatch from this directory; module.nix takes it by default.
{ lib, rustPlatform }:

rustPlatform.buildRustPackage {
  pname = "unitwatch";
  version = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).package.version;
  src = lib.cleanSource ./.;
  cargoLock.lockFile = ./Cargo.lock;
  # The tests take a systemd of their own; tests/run has one.
  doCheck = false;
  meta = {
    description = "Prometheus exporter for systemd that listens instead of polling";
    license = with lib.licenses; [ asl20 mit ];
    mainProgram = "unitwatch";
    platforms = lib.platforms.linux;
  };
}
