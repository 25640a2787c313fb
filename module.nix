# unitwatch on NixOS: `imports = [ ./unitwatch/module.nix ]; services.unitwatch.enable = true;`
#
# The sandbox is that of packaging/unitwatch.service.
{ config, lib, pkgs, utils, ... }:

let
  inherit (builtins) attrNames concatStringsSep elemAt filter isBool isList length match readFile;
  inherit (lib) literalExpression mkDefault mkEnableOption mkIf mkMerge mkOption types;

  cfg = config.services.unitwatch;

  # === The unit ===

  lines = lib.splitString "\n" (readFile ./packaging/unitwatch.service);
  # Skips comments and sections.
  pairs = filter (pair: pair != null) (map (match "([A-Za-z]+)=(.*)") lines);
  # A key that occurs several times has a list.
  keyed = lib.groupBy (pair: elemAt pair 0) pairs;
  unit = lib.mapAttrs
    (_: found:
      let values = map (pair: elemAt pair 1) found;
      in if length values == 1 then elemAt values 0 else values)
    keyed;
  # As in `unitwatch unit-file`: without such namespaces the unit would not start.
  refuses = kind: toString (config.boot.kernel.sysctl."user.max_${kind}_namespaces" or null) == "0";
  # The other sections have their own NixOS options.
  service = removeAttrs unit ([ "Description" "WantedBy" "ExecStart" "User" ]
    ++ lib.optional (refuses "user") "PrivateUsers"
    ++ lib.optional (refuses "uts") "ProtectHostname");

  # === The flags ===

  # A list becomes one flag for each value.
  words = name: value:
    if isList value then lib.concatMap (words name) value
    else if isBool value then [ "--${name}=${lib.boolToString value}" ]
    else [ "--${name}=${toString value}" ];
  # The options of this module that are flags.
  named = {
    "web.listen-address" = cfg.listenAddresses;
    "systemd.collector.unit-include" = lib.toList cfg.filters.unitInclude;
    "systemd.collector.unit-exclude" = lib.toList cfg.filters.unitExclude;
    "systemd.collector.unit-type" = cfg.filters.unitTypes;
    "systemd.collector.slice" = cfg.filters.slices;
  } // lib.mapAttrs' (name: lib.nameValuePair "collector.${name}") cfg.collectors;
  optionOf = {
    "web.listen-address" = "listenAddresses";
    "systemd.collector.unit-include" = "filters.unitInclude";
    "systemd.collector.unit-exclude" = "filters.unitExclude";
    "systemd.collector.unit-type" = "filters.unitTypes";
    "systemd.collector.slice" = "filters.slices";
  } // lib.genAttrs (map (name: "collector.${name}") groups) (_: "collectors");
  given = lib.filterAttrs (_: value: value != [ null ]) named;
  flags = lib.concatLists (lib.mapAttrsToList words (given // cfg.settings)) ++ cfg.extraFlags;

  groups = [
    "unit-state"
    "unit-sub-state"
    "unit-info"
    "unit-times"
    "unit-events"
    "unit-problems"
    "unit-file-state"
    "service-exits"
    "tasks"
    "cpu"
    "memory"
    "io"
    "pressure"
    "ip"
    "sockets"
    "timers"
    "jobs"
    "boot"
    "watchdog"
    "node-exporter"
  ];

  # === Addresses ===

  # The host and port of each TCP address.
  tcp = filter (it: it != null)
    (map (address: if lib.hasPrefix "unix:" address then null else match "(.*):([0-9]+)" address)
      cfg.listenAddresses);
  isLocal = host: host == "localhost" || host == "[::1]" || lib.hasPrefix "127." host;
  open = lib.unique (map (it: lib.toInt (elemAt it 1)) (filter (it: !isLocal (elemAt it 0)) tcp));
  # Prometheus runs on the same machine.
  target =
    let host = elemAt (lib.head tcp) 0;
    in (if lib.elem host [ "" "0.0.0.0" "[::]" ] then "localhost" else host) + ":" + elemAt (lib.head tcp) 1;

  quoted = names: concatStringsSep ", " (map (name: "`${name}`") names);
  unknown = lib.subtractLists groups (attrNames cfg.collectors);
  twice = filter (flag: optionOf ? ${flag}) (attrNames cfg.settings);
in
{
  options.services.unitwatch = {
    enable = mkEnableOption "unitwatch, a Prometheus exporter for systemd";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package to run.";
    };

    listenAddresses = mkOption {
      type = types.listOf types.str;
      default = [ ":9558" ];
      example = [ "127.0.0.1:9558" "unix:/run/unitwatch/http.sock" ];
      description = "Addresses to listen on: `HOST:PORT`, `unix:/run/unitwatch/NAME` or `unix:@NAME`.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the ports of `listenAddresses` in the firewall.";
    };

    user = mkOption {
      type = types.str;
      default = "unitwatch";
      description = ''
        The user to run as. Unless it is `unitwatch`, it has to be in `users.users`. It needs no
        privileges, but has to exist: dbus-daemon rejects the user of `DynamicUser=`.
      '';
    };

    collectors = mkOption {
      type = types.attrsOf types.bool;
      default = { };
      example = { pressure = true; unit-times = false; };
      description = "Groups of metrics to enable or disable.";
    };

    filters = {
      unitInclude = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "nginx\\.service|.+\\.timer";
        description = "Units to serve, as a regular expression for the whole name.";
      };
      unitExclude = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = ".+\\.(device|scope)";
        description = "Units to leave out, as a regular expression for the whole name.";
      };
      unitTypes = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "service" "timer" ];
        description = "Types of the units to serve; all if empty.";
      };
      slices = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "system.slice" ];
        description = "Slices whose units to serve; all if empty.";
      };
    };

    settings = mkOption {
      type = types.attrsOf (types.oneOf [ types.bool types.int types.str (types.listOf types.str) ]);
      default = { };
      example = { retention = "1h"; "web.disable-exporter-metrics" = true; };
      description = "Other flags, by name without the dashes.";
    };

    extraFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--log.format=json" ];
      description = "Arguments to append to the command line.";
    };

    prometheus = {
      rules = mkOption {
        type = types.bool;
        default = false;
        description = "Whether this machine's Prometheus loads the recording rules and alerts.";
      };
      scrape = mkOption {
        type = types.bool;
        default = false;
        description = "Whether this machine's Prometheus scrapes the exporter, as the job `systemd`.";
      };
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = cfg.listenAddresses != [ ];
          message = "services.unitwatch.listenAddresses is empty: no client could connect.";
        }
        {
          assertion = cfg.openFirewall -> open != [ ];
          message = ''
            services.unitwatch.openFirewall has no port to open: services.unitwatch.listenAddresses
            has only unix sockets and loopback addresses.
          '';
        }
        {
          assertion = unknown == [ ];
          message = ''
            services.unitwatch.collectors has no ${quoted unknown}; it has ${quoted groups}.
          '';
        }
        {
          assertion = twice == [ ];
          message = concatStringsSep "\n" (map
            (flag: ''services.unitwatch.settings."${flag}" is services.unitwatch.${optionOf.${flag}}: set that.'')
            twice);
        }
        {
          assertion = !(lib.elem (cfg.settings."systemd.collector.user" or false) [ true "true" ]);
          message = ''
            services.unitwatch watches the system's manager, and its user has no manager. To watch
            the manager of a user, run `unitwatch --systemd.collector.user` as that user.
          '';
        }
        {
          assertion = config.users.users ? ${cfg.user};
          message = ''
            services.unitwatch.user is `${cfg.user}`, and users.users has no such user.
          '';
        }
        {
          assertion = (cfg.prometheus.rules || cfg.prometheus.scrape) -> config.services.prometheus.enable;
          message = ''
            services.unitwatch.prometheus configures this machine's Prometheus, but
            services.prometheus.enable is false.
          '';
        }
        {
          assertion = cfg.prometheus.scrape -> tcp != [ ];
          message = ''
            services.unitwatch.prometheus.scrape has nothing to scrape: Prometheus cannot connect to
            unix sockets, and services.unitwatch.listenAddresses has only those.
          '';
        }
      ];

      systemd.services.unitwatch = {
        description = unit.Description;
        wantedBy = [ unit.WantedBy ];
        serviceConfig = lib.mapAttrs (_: mkDefault) service // {
          ExecStart = utils.escapeSystemdExecArgs ([ "${cfg.package}/bin/unitwatch" ] ++ flags);
          User = cfg.user;
        };
      };

      # Has the program check the flags, so that a wrong one fails the build and not the service. Not
      # possible if it is built for another machine.
      system.checks = mkIf (pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) [
        (pkgs.runCommand "unitwatch-flags" { } ''
          ${cfg.package}/bin/unitwatch unit-file ${lib.escapeShellArgs flags} >"$out"
        '')
      ];

      networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall open;
    }

    (mkIf (cfg.user == "unitwatch") {
      users.users.unitwatch = {
        isSystemUser = true;
        group = "unitwatch";
        description = unit.Description;
      };
      users.groups.unitwatch = { };
    })

    (mkIf cfg.prometheus.rules {
      services.prometheus.ruleFiles = [
        ./alerts/unitwatch.recording.yml
        ./alerts/unitwatch.alerts.yml
      ];
    })

    (mkIf (cfg.prometheus.scrape && tcp != [ ]) {
      services.prometheus.scrapeConfigs = [
        { job_name = "systemd"; static_configs = [{ targets = [ target ]; }]; }
      ];
    })
  ]);
}
