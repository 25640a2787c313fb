# What module.nix makes of a configuration, for tests/repo/module.rs and tests/run:
#
#   nix-instantiate --eval --strict --json tests/nix/eval.nix --arg configuration '{ ... }'
#
# NixOS is what it is here taken to be: the options below, of the types that they have there. The
# rest is of nixpkgs' own lib where its path is given, and else of lib.nix.
{ configuration ? { }
, nixpkgs ? null
  # Where the package is; null for the one that the module has built.
, package ? "/usr/local"
}:

let
  lib = import (if nixpkgs == null then ./lib.nix else nixpkgs + "/lib");
  inherit (lib) mkOption types;
  inherit (builtins) concatStringsSep filter isBool isList replaceStrings toJSON;

  derivation = outPath: more: { type = "derivation"; name = "stand-in"; inherit outPath; } // more;

  pkgs = {
    callPackage = path: _: import path {
      inherit lib;
      installShellFiles = null;
      rustPlatform.buildRustPackage = arguments: derivation "/built/${arguments.pname}-${arguments.version}" { };
    };
    runCommand = name: _: text: derivation "/built/${name}" { inherit text; };
    stdenv = { hostPlatform = { }; buildPlatform.canExecute = _: true; };
  };

  utils.escapeSystemdExecArgs = words:
    concatStringsSep " " (map (word: replaceStrings [ "$" "%" ] [ "$$" "%%" ] (toJSON word)) words);

  word = types.oneOf [ types.bool types.int types.str ];
  nixos.options = {
    assertions = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    boot.kernel.sysctl = mkOption { type = types.attrsOf (types.nullOr word); default = { }; };
    networking.firewall.allowedTCPPorts = mkOption { type = types.listOf types.port; default = [ ]; };
    system.checks = mkOption { type = types.listOf types.package; default = [ ]; };
    users.users = mkOption { type = types.attrsOf (types.attrsOf types.unspecified); default = { }; };
    users.groups = mkOption { type = types.attrsOf types.unspecified; default = { }; };
    services.prometheus = {
      enable = mkOption { type = types.bool; default = false; };
      ruleFiles = mkOption { type = types.listOf types.path; default = [ ]; };
      scrapeConfigs = mkOption { type = types.listOf (types.attrsOf types.unspecified); default = [ ]; };
    };
    # There is one for every name in NixOS.
    systemd.services.unitwatch = {
      description = mkOption { type = types.nullOr types.str; default = null; };
      wantedBy = mkOption { type = types.listOf types.str; default = [ ]; };
      serviceConfig = mkOption {
        type = types.attrsOf (types.oneOf [ word (types.listOf word) ]);
        default = { };
      };
    };
  };

  modules = [
    nixos
    ../../module.nix
    configuration
    (if package == null then { } else { services.unitwatch.package = lib.mkDefault (derivation package { }); })
  ];
  inherit (lib.evalModules { inherit modules; specialArgs = { inherit lib pkgs utils; }; }) config;
  inherit (config.systemd.services) unitwatch;

  show = value: if isBool value then lib.boolToString value else toString value;
  line = name: value: map (it: "${name}=${show it}") (lib.toList value);
  # As NixOS writes it.
  text = concatStringsSep "\n" ([ "[Unit]" "Description=${unitwatch.description}" "" "[Service]" ]
    ++ lib.concatLists (lib.mapAttrsToList line unitwatch.serviceConfig)
    ++ [ "" "[Install]" ] ++ map (it: "WantedBy=${it}") unitwatch.wantedBy ++ [ "" ]);
in
{
  failed = map (it: it.message) (filter (it: !it.assertion) config.assertions);
  unit = if unitwatch.description == null then null else text;
  checks = map (it: it.text) config.system.checks;
  ports = config.networking.firewall.allowedTCPPorts;
  users = config.users.users;
  groups = builtins.attrNames config.users.groups;
  rules = map toString config.services.prometheus.ruleFiles;
  scrapes = config.services.prometheus.scrapeConfigs;
}
