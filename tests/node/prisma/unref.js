// The engine's limit for its advisory lock goes on after its last word, and would keep the process for ten seconds: it need not.
const start = globalThis.setTimeout;
globalThis.setTimeout = (...call) => {
    const timer = start(...call);
    return call[1] === 10000 ? timer.unref() : timer;
};
