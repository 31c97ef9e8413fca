/**
 * Runs inside Pyodide, before the script: closes the bridge to JavaScript and gives the functions that turn a batch of JSON
 * into Python values and the answers back.
 */
export const PYTHON_PRELUDE = `
import sys as _sys, json as _json, traceback as _traceback

class _Machine:
    class Drop:
        def __repr__(self):
            return 'DROP'
    DROP = Drop()

    def __init__(self, file):
        self.file = file
        self.found = {}

    def load(self, source):
        scope = {'__name__': 'transform', '__file__': self.file, 'DROP': self.DROP}
        exec(compile(source, self.file, 'exec'), scope)
        for name in ('transform_key', 'transform_keys', 'transform_value', 'transform_values'):
            if callable(scope.get(name)):
                self.found[name] = scope[name]
        has = self.found
        return _json.dumps({'keys': 'transform_key' in has or 'transform_keys' in has,
                            'values': 'transform_value' in has or 'transform_values' in has})

    @staticmethod
    def asked(method):
        """A function from text to text that never raises: '=' and the answer, or '!' and a traceback."""
        format = _traceback.format_exception
        def ask(text):
            try:
                return '=' + method(text)
            except BaseException as error:
                return '!' + ''.join(format(error))[-20000:]
        return ask

    def said(self, error):
        line = None
        for frame in _traceback.extract_tb(error.__traceback__):
            if frame.filename == self.file:
                line = frame.lineno
        if line is None and isinstance(error, SyntaxError):
            line = error.lineno
        place = '' if line is None else ' (%s:%d)' % (self.file, line)
        text = _traceback.format_exception_only(type(error), error)[-1].strip()
        return text[:400] + place

    @staticmethod
    def open(x):
        return x if type(x) is str else x['b'].encode('latin-1')

    @staticmethod
    def close(x):
        if isinstance(x, str):
            return x
        if isinstance(x, (bytes, bytearray)):
            return {'b': x.decode('latin-1')}
        raise TypeError('text or bytes are wanted, not ' + type(x).__name__)

    @staticmethod
    def score(x):
        if isinstance(x, bool) or not isinstance(x, (int, float)):
            raise TypeError('a score must be a number, not ' + type(x).__name__)
        x = float(x)
        if x != x:
            raise ValueError('a score must be a number, not nan')
        if x in (float('inf'), float('-inf')):
            return 'inf' if x > 0 else '-inf'
        return repr(x)

    def give(self, type, payload):
        o = self.open
        if type == 'string':
            return o(payload)
        if type == 'list':
            return [o(x) for x in payload]
        if type == 'set':
            return {o(x) for x in payload}
        if type == 'zset':
            return {o(payload[i]): float(payload[i + 1]) for i in range(0, len(payload), 2)}
        if type == 'hash':
            return {o(payload[i]): o(payload[i + 1]) for i in range(0, len(payload), 2)}
        return [(id, [(o(f[i]), o(f[i + 1])) for i in range(0, len(f), 2)]) for id, f in payload]

    def take(self, type, x):
        c = self.close
        if type == 'string':
            return c(x)
        if type == 'list':
            if not isinstance(x, (list, tuple)):
                raise TypeError('a list is wanted, not ' + x.__class__.__name__)
            return [c(i) for i in x]
        if type == 'set':
            if not isinstance(x, (set, frozenset, list, tuple)):
                raise TypeError('a set is wanted, not ' + x.__class__.__name__)
            return [c(i) for i in x]
        if type in ('zset', 'hash'):
            if not isinstance(x, dict):
                raise TypeError('a dict is wanted, not ' + x.__class__.__name__)
            last = self.score if type == 'zset' else c
            out = []
            for k, v in x.items():
                out.append(c(k))
                out.append(last(v))
            return out
        if not isinstance(x, (list, tuple)):
            raise TypeError('a list of entries is wanted, not ' + x.__class__.__name__)
        out = []
        for id, fields in x:
            flat = []
            for k, v in fields:
                flat.append(c(k))
                flat.append(c(v))
            out.append([c(id), flat])
        return out

    def one(self, type, given, answer):
        if answer is given and type == 'string':
            return 0
        if answer is self.DROP:
            return None
        if answer is None:
            raise TypeError('nothing was returned: return the value, or DROP to leave the key out')
        payload = self.take(type, answer)
        return payload if payload.__class__ is str else {'v': payload}

    def all(self, answers, n):
        answers = list(answers)
        if len(answers) != n:
            raise TypeError('one answer for each of %d is wanted' % n)
        return answers

    def keys(self, text):
        keys = [self.open(x) for x in _json.loads(text)]
        many = self.found.get('transform_keys')
        answers = self.all(many(list(keys)), len(keys)) if many else None
        single = self.found.get('transform_key')
        out = []
        for i, key in enumerate(keys):
            try:
                out.append(self.one('string', key, answers[i] if many else single(key)))
            except Exception as error:
                out.append({'e': self.said(error)})
        return _json.dumps(out)

    def values(self, text):
        flat = _json.loads(text)
        many = self.found.get('transform_values')
        answers = None
        if many:
            given = [(self.open(flat[i + 1]), self.give(flat[i], flat[i + 2]), flat[i]) for i in range(0, len(flat), 3)]
            answers = self.all(many(list(given)), len(given))
        single = self.found.get('transform_value')
        out = []
        for n, i in enumerate(range(0, len(flat), 3)):
            type = flat[i]
            try:
                if many:
                    out.append(self.one(type, given[n][1], answers[n]))
                else:
                    value = self.give(type, flat[i + 2])
                    out.append(self.one(type, value, single(self.open(flat[i + 1]), value, type)))
            except Exception as error:
                out.append({'e': self.said(error)})
        return _json.dumps(out)

def _close():
    closed = ('js', 'pyodide_js', '_pyodide_core', 'pyodide', '_pyodide', 'pyodide.ffi', 'pyodide.code', 'socket', '_socket',
              'ssl', '_ssl', 'subprocess', '_posixsubprocess', 'ctypes', '_ctypes', 'webbrowser', 'asyncio', 'multiprocessing')
    for name in list(_sys.modules):
        if name in closed or name.split('.')[0] in ('js', 'pyodide', '_pyodide', 'pyodide_js'):
            del _sys.modules[name]
    class Closed:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.split('.')[0] in closed:
                raise ImportError('%s is closed in the sandbox' % name)
            return None
    _sys.meta_path[:] = [Closed] + [finder for finder in _sys.meta_path if 'js' not in type(finder).__name__.lower()]
    import time, random, os
    def no_clock(*_):
        raise RuntimeError('a transform has no clock: the same value must always become the same')
    for name in ('time', 'time_ns', 'monotonic', 'monotonic_ns', 'perf_counter', 'perf_counter_ns', 'localtime', 'gmtime', 'sleep'):
        if name in ('localtime', 'gmtime'):
            continue
        setattr(time, name, no_clock)
    def no_chance(*_, **__):
        raise RuntimeError('a transform has no random numbers: the same value must always become the same')
    os.urandom = no_chance
    for name in ('random', 'randint', 'randrange', 'choice', 'choices', 'shuffle', 'sample', 'uniform', 'getrandbits', 'randbytes'):
        setattr(random, name, no_chance)
    os.environ.clear()
`
