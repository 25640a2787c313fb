# As much of nixpkgs' lib as module.nix and eval.nix need, for machines that have Nix and no nixpkgs:
# options with types that are checked, definitions with conditions and priorities, and a few
# functions on lists, sets and strings. What it lets through, nixpkgs' does, or should.
let
  inherit (builtins) all any attrNames attrValues concatLists concatMap concatStringsSep elem filter
    fromJSON foldl' hasAttr head isAttrs isBool isFunction isInt isList isPath isString length
    listToAttrs mapAttrs match replaceStrings split stringLength substring tail;

  # === Lists, sets and strings ===

  functions = rec {
    inherit concatLists concatMap elem head mapAttrs;
    nameValuePair = name: value: { inherit name value; };
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
    filterAttrs = keep: set:
      listToAttrs (concatMap
        (name: if keep name set.${name} then [ (nameValuePair name set.${name}) ] else [ ])
        (attrNames set));
    genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
    groupBy = f: foldl' (groups: it: groups // { ${f it} = (groups.${f it} or [ ]) ++ [ it ]; }) { };
    subtractLists = gone: filter (it: !elem it gone);
    unique = foldl' (seen: it: if elem it seen then seen else seen ++ [ it ]) [ ];
    optional = condition: it: if condition then [ it ] else [ ];
    toList = it: if isList it then it else [ it ];
    hasPrefix = prefix: string: substring 0 (stringLength prefix) string == prefix;
    # Nix puts a list, of the groups of the pattern, between two pieces.
    splitString = separator: string: filter isString (split separator string);
    boolToString = it: if it then "true" else "false";
    toInt = fromJSON;
    escapeShellArgs = words: concatStringsSep " "
      (map (word: "'" + replaceStrings [ "'" ] [ "'\\''" ] word + "'") words);
    cleanSource = source: source;
    cleanSourceWith = { src, filter }: src;
    licenses = { asl20 = "Apache-2.0"; mit = "MIT"; };
    platforms.linux = [ ];
    literalExpression = text: text;
  };
  inherit (functions) mapAttrsToList genAttrs unique;

  # === Definitions ===

  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkDefault = content: { _type = "override"; priority = 1000; inherit content; };
  is = kind: it: isAttrs it && (it._type or null) == kind;

  # What is left of a definition: contents with their priorities.
  discharge = priority: it:
    if is "if" it then (if it.condition then discharge priority it.content else [ ])
    else if is "merge" it then concatMap (discharge priority) it.contents
    else if is "override" it then discharge it.priority it.content
    else [{ inherit priority; value = it; }];

  # Those that nothing takes precedence over.
  strongest = definitions:
    let
      found = concatMap (discharge 100) definitions;
      best = foldl' (least: it: if it.priority < least then it.priority else least) 100000 found;
    in
    map (it: it.value) (filter (it: it.priority == best) found);

  # Conditions of a set are those of each of its members.
  spread = it:
    if is "if" it then map (mapAttrs (_: mkIf it.condition)) (spread it.content)
    else if is "merge" it then concatMap spread it.contents
    else [ it ];

  # === Types ===

  name = concatStringsSep ".";
  refuse = path: type: throw "the option `${name path}' is not of type ${type.name}";
  one = path: values:
    if all (it: it == head values) values then head values
    else throw "the option `${name path}' has several definitions";
  simple = name: check: { inherit name check; merge = one; };
  checked = type: path: definitions:
    let values = strongest definitions;
    in if all type.check values then type.merge path values else refuse path type;

  types = rec {
    bool = simple "boolean" isBool;
    int = simple "integer" isInt;
    str = simple "string" isString;
    port = simple "port" (it: isInt it && it >= 0 && it <= 65535);
    path = simple "path" (it: isPath it || isString it && substring 0 1 it == "/");
    package = simple "package" (it: isAttrs it && (it.type or null) == "derivation");
    unspecified = simple "anything" (_: true);
    nullOr = type: {
      name = "null or ${type.name}";
      check = it: it == null || type.check it;
      merge = path: values: if all (it: it == null) values then null else type.merge path values;
    };
    oneOf = several: {
      name = concatStringsSep " or " (map (type: type.name) several);
      check = it: any (type: type.check it) several;
      merge = path: values:
        (head (filter (type: all type.check values) several)).merge path values;
    };
    listOf = type: {
      name = "list of ${type.name}";
      check = isList;
      merge = path: values: map (it: checked type path [ it ]) (concatLists values);
    };
    attrsOf = type: {
      name = "set of ${type.name}";
      check = isAttrs;
      merge = path: values:
        let
          sets = concatMap spread values;
          of = key: concatMap (set: if hasAttr key set then [ set.${key} ] else [ ]) sets;
          # One whose condition does not hold is not there.
          keys = filter (key: strongest (of key) != [ ]) (unique (concatMap attrNames sets));
        in
        genAttrs keys (key: checked type (path ++ [ key ]) (of key));
    };
  };

  mkOption = option: option // { _type = "option"; };
  mkEnableOption = what: mkOption { type = types.bool; default = false; description = what; };

  # === Modules ===

  # The options of a tree with the values that the definitions give them.
  evaluate = path: options: definitions:
    if is "option" options then
      let given = concatMap (discharge 100) definitions;
      in
      if given != [ ] then checked options.type path definitions
      else options.default or (throw "the option `${name path}' has no value")
    else
      let
        sets = concatMap spread definitions;
        unknown = filter (key: !hasAttr key options) (unique (concatMap attrNames sets));
        of = key: concatMap (set: if hasAttr key set then [ set.${key} ] else [ ]) sets;
      in
      if unknown != [ ] then throw "the option `${name (path ++ [ (head unknown) ])}' does not exist"
      else mapAttrs (key: option: evaluate (path ++ [ key ]) option (of key)) options;

  join = one: other:
    mapAttrs (key: it: if hasAttr key one && !is "option" it then join one.${key} it else it) other
    // removeAttrs one (attrNames other)
    // { };

  evalModules = { modules, specialArgs ? { } }:
    let
      load = module:
        let it = if isPath module then import module else module;
        in if isFunction it then it (specialArgs // { inherit config; }) else it;
      loaded = map load modules;
      options = foldl' join { } (map (it: it.options or { }) loaded);
      definition = it: if it ? options || it ? config then it.config or { } else it;
      config = evaluate [ ] options (map definition loaded);
    in
    { inherit config options; };
in
functions // { inherit evalModules mkDefault mkEnableOption mkIf mkMerge mkOption types; }
