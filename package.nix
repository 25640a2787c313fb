# Builds unitwatch from this directory; module.nix takes it by default.
{ lib, installShellFiles, rustPlatform }:

rustPlatform.buildRustPackage {
  pname = "unitwatch";
  version = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).package.version;
  # Cargo's build directory is large and not needed.
  src = lib.cleanSourceWith {
    src = lib.cleanSource ./.;
    filter = path: _: path != toString ./target;
  };
  cargoLock.lockFile = ./Cargo.lock;
  # The tests need a systemd, which tests/run starts.
  doCheck = false;
  nativeBuildInputs = [ installShellFiles ];
  postInstall = ''
    installManPage packaging/man/unitwatch.8
    installShellCompletion packaging/completions/{unitwatch.bash,_unitwatch,unitwatch.fish}
  '';
  meta = {
    description = "Prometheus exporter for systemd that subscribes to its signals instead of polling";
    license = with lib.licenses; [ asl20 mit ];
    mainProgram = "unitwatch";
    platforms = lib.platforms.linux;
  };
}
