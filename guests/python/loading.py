"""Makes a program out of its source: one text in any of its forms, or a folder with its packages.

    program = Program()
    program.load(header, source, wait)      # docs/functions/python.md has the forms
    value = program.call(params, context)
"""

import ast
import builtins
import linecache
import os
import sys
import types

# Built-in names are looked up here: the program may change the builtins.
__builtins__ = dict(vars(builtins))

FILE = "function.py"
MODULE = "function"
VENDORED = ("site-packages", "vendor")  # at the top of a folder: what the program depends on
CO_COROUTINE = 0x80


class LoadError(Exception):
    """The source is not a program; str() is the whole message."""


def _names(target):
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from _names(element)
    elif isinstance(target, ast.Starred):
        yield from _names(target.value)


class _TopLevel(ast.NodeVisitor):
    """Which names the statements of a module bind and read, those inside functions left out."""

    def __init__(self):
        self.bound = set()
        self.read = set()

    def visit_FunctionDef(self, node):
        self.bound.add(node.name)
        for part in node.decorator_list + node.args.defaults + [d for d in node.args.kw_defaults if d]:
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        pass

    def visit_ClassDef(self, node):
        self.bound.add(node.name)

    def visit_Name(self, node):
        (self.read if isinstance(node.ctx, ast.Load) else self.bound).add(node.id)

    def visit_Import(self, node):
        for alias in node.names:
            self.bound.add((alias.asname or alias.name).split(".")[0])

    visit_ImportFrom = visit_Import


class Program:
    """A loaded source: `call(params, context)` runs it and gives its value or an awaitable."""

    def __init__(self):
        self.folder = None
        self.code = None
        self.call = None
        self.source = ""

    def owns(self, file):
        """Whether a file of that name is the program's own source, not one of its dependencies."""
        if self.folder is None:
            return file == FILE
        if not isinstance(file, str) or not file.startswith(self.folder + "/"):
            return False
        return not any(f"/{name}/" in file for name in VENDORED)

    def get_source(self, _name=None):
        return self.source

    def make_globals(self):
        module = types.ModuleType(MODULE)
        names = module.__dict__
        names["__file__"] = FILE
        names["__builtins__"] = builtins
        names["__loader__"] = self
        sys.modules[MODULE] = module
        return names

    def run(self, names):
        """Runs the module's statements; gives a coroutine where they await at the top."""
        if self.code.co_flags & CO_COROUTINE:
            return types.FunctionType(self.code, names)()
        exec(self.code, names)
        return None

    def load(self, header, source, wait):
        for name, value in (header.get("environment") or {}).items():
            os.environ[name] = value
        entry = header.get("entry") or ""
        if header.get("folder"):
            self.folder = header["folder"]
            name, function = _from_folder(self.folder, entry)
            self.take(name, function)
            return
        self.source = source = source.decode("utf-8-sig")
        lines = [line + "\n" for line in source.split("\n")]
        linecache.cache[FILE] = (len(source), None, lines, FILE)
        tree = ast.parse(source, FILE)
        top = _TopLevel()
        top.visit(tree)
        self.code = compile(source, FILE, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        uses_call = bool(top.read & {"params", "context"} - top.bound)
        is_statements = "result" in top.bound and uses_call
        if entry == "" and (is_statements or not top.bound & {"handle", "handler"}):
            if "result" not in source and all(isinstance(node, _DEFINITIONS) for node in tree.body):
                raise LoadError(
                    "the script sets no `result` and defines neither `handle(params)` nor `handler(context)`"
                )
            self.call = self.call_statements
            return
        names = self.make_globals()
        waiting = self.run(names)
        if waiting is not None:
            wait(waiting)
        name = entry or ("handle" if callable(names.get("handle")) else "handler")
        function = names.get(name)
        if not callable(function):
            raise LoadError(f"the script defines no function {name!r}")
        self.take(name, function)

    def take(self, name, function):
        if _takes_context(name, function):

            def call(params, context):
                context["params"] = params
                return function(context)

            self.call = call
        else:
            self.call = lambda params, _context: function(params)

    def call_statements(self, params, context):
        names = self.make_globals()
        names["params"] = params
        names["context"] = context
        if self.code.co_flags & CO_COROUTINE:
            return self.await_statements(names)
        exec(self.code, names)
        return names.get("result")

    async def await_statements(self, names):
        await types.FunctionType(self.code, names)()
        return names.get("result")


def _from_folder(folder, entry):
    """(name, function) of an entry "pkg/app.py:handle". Its file is imported as pkg.app, with what lies
    beside it, at the top of the folder, and in one of VENDORED, to be imported from there."""
    import importlib
    import importlib.util

    file, _, name = entry.partition(":")
    file = os.path.normpath(file or "main.py")
    path = os.path.join(folder, file)
    if file.startswith(("/", "..")):
        raise LoadError(f"the entry {entry!r} leads out of the archive")
    if not os.path.isfile(path):
        hint = "" if entry else "; name the file in \"entry\""
        raise LoadError(f"the archive holds no {file!r}{hint}")
    own = [os.path.dirname(path), folder]
    sys.path[:0] = list(dict.fromkeys(own))
    sys.path += [each for each in (f"{folder}/{name}" for name in VENDORED) if os.path.isdir(each)]
    sys.argv = [path]
    parts = file.removesuffix(".py").split("/")
    # A file named like a module that is loaded already keeps out of its way.
    plain = all(part.isidentifier() for part in parts) and parts[0] not in sys.modules
    module_name = ".".join(parts) if plain else MODULE
    parent = module_name.rpartition(".")[0]
    if parent:
        importlib.import_module(parent)
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None:
        raise LoadError(f"the entry's file {file!r} is no Python source: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    if parent:
        setattr(sys.modules[parent], parts[-1], module)
    spec.loader.exec_module(module)
    if not name:
        name = "handle" if callable(getattr(module, "handle", None)) else "handler"
    function = getattr(module, name, None)
    if not callable(function):
        wanted = f"no function {name!r}" if entry.endswith(f":{name}") else "neither `handle(params)` nor `handler(context)`"
        raise LoadError(f"{file} defines {wanted}")
    return name, function


# A script of nothing else does nothing when it is run: it lacks its handler.
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def _takes_context(name, function):
    """`handler` takes the context and `handle` the params; another entry says so by its parameter."""
    if name in ("handle", "handler"):
        return name == "handler"
    code = getattr(function, "__code__", None)
    return code is not None and code.co_argcount > 0 and code.co_varnames[0] == "context"
