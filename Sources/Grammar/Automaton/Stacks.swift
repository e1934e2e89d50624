/// Where an answer stands: states with the calls that led to them.
///
/// A grammar may leave open which rule a text is in, so there are several stacks at once. They are kept as a graph
/// (Tomita's graph-structured stack): a *frame* is a set of links, each the state in which to go on after a return and the frame below
/// it. Frames are made once and never changed, states and links with equal states are united. So the number of threads never exceeds
/// that of the automaton's states, however ambiguous the grammar is.
struct Stacks: Sendable, Hashable {
    typealias FrameID = Int32

    /// A state and the frame that its rule returns to.
    struct Link: Sendable, Hashable {
        var state: Int32
        var frame: FrameID
    }

    private struct Frame: Sendable, Hashable {
        /// Ascending by state.
        var links: [Link]
        /// Whether a return may leave the outermost rule.
        var isBottom: Bool
        /// Calls within one another.
        var depth: Int32
        /// The greatest depth that ending all these calls takes at least.
        var demand: Int32
    }

    private struct Key: Hashable {
        var links: [Link]
        var isBottom: Bool
    }

    /// The outermost call.
    static let bottom: FrameID = 0
    private var frames: [Frame]
    private var numbers: [Key: FrameID] = [:]

    init() {
        frames = [Frame(links: [], isBottom: true, depth: 0, demand: 0)]
        numbers[Key(links: [], isBottom: true)] = 0
    }

    static func == (left: Stacks, right: Stacks) -> Bool { left.frames == right.frames }
    func hash(into hasher: inout Hasher) { hasher.combine(frames) }

    var frameCount: Int { frames.count }
    func links(of frame: FrameID) -> [Link] { frames[Int(frame)].links }
    func isBottom(_ frame: FrameID) -> Bool { frames[Int(frame)].isBottom }
    func depth(of frame: FrameID) -> Int32 { frames[Int(frame)].depth }

    /// The nesting that the thread needs at least to come to its end.
    func demand(of thread: Link, _ automaton: Automaton) -> Int32 {
        let frame = frames[Int(thread.frame)]
        return max(frame.depth + automaton.needs[Int(thread.state)], frame.demand)
    }

    /// The threads at a byte boundary, ready to read: `kernel` with whatever returns and calls lead to, and whether the
    /// answer may end here.
    mutating func closure(of kernel: [Link], _ automaton: Automaton) -> (threads: [Link], isEnd: Bool) {
        var threads: [Link] = [], isEnd = false
        var waiting = kernel, seen = Set<Link>()
        while let thread = waiting.popLast() {
            guard seen.insert(thread).inserted else { continue }
            threads.append(thread)
            guard automaton.isFinal[Int(thread.state)] else { continue }
            if frames[Int(thread.frame)].isBottom { isEnd = true }
            waiting += frames[Int(thread.frame)].links
        }
        threads = united(threads)
        addCalls(to: &threads, automaton)
        return (threads, isEnd)
    }

    /// Rules in the order of their ranks, so that all calls of one are known before it is entered: one frame for all callers.
    private mutating func addCalls(to threads: inout [Link], _ automaton: Automaton) {
        var pending: [(rank: Int32, rule: Int32, target: Int32, frame: FrameID)] = []
        func note(_ thread: Link, _ pending: inout [(rank: Int32, rule: Int32, target: Int32, frame: FrameID)]) {
            for call in automaton.calls(of: thread.state) {
                pending.append((automaton.ruleRanks[Int(call.rule)], call.rule, call.target, thread.frame))
            }
        }
        for thread in threads { note(thread, &pending) }
        while let first = pending.min(by: { $0.rank < $1.rank }) {
            var links: [Link] = [], frame: FrameID?
            for call in pending where call.rule == first.rule {
                // A return to where nothing but a return follows goes further down at once.
                if automaton.isOnlyFinal(call.target) {
                    frame = frame.map { unite($0, call.frame) } ?? call.frame
                } else {
                    links.append(Link(state: call.target, frame: call.frame))
                }
            }
            pending.removeAll { $0.rule == first.rule }
            if !links.isEmpty {
                let own = make(united(links), isBottom: false, automaton)
                frame = frame.map { unite($0, own) } ?? own
            }
            guard let frame else { continue }
            let entered = Link(state: automaton.ruleStarts[Int(first.rule)], frame: frame)
            threads.append(entered)
            note(entered, &pending)
        }
    }

    /// Where `threads`, a closure, are after one byte; empty if none may read it.
    mutating func step(_ threads: [Link], _ byte: UInt8, _ automaton: Automaton) -> [Link] {
        var reached: [Link] = []
        for thread in threads {
            guard let target = automaton.target(of: byte, from: thread.state) else { continue }
            let next = Link(state: target, frame: thread.frame)
            if demand(of: next, automaton) <= automaton.depthLimit { reached.append(next) }
        }
        return united(reached)
    }

    /// Ascending by state, one for each state.
    private mutating func united(_ links: [Link]) -> [Link] {
        guard links.count > 1 else { return links }
        var united: [Link] = []
        for link in links.sorted(by: { ($0.state, $0.frame) < ($1.state, $1.frame) }) {
            if let last = united.last, last.state == link.state {
                united[united.count - 1].frame = unite(last.frame, link.frame)
            } else {
                united.append(link)
            }
        }
        return united
    }

    private mutating func unite(_ a: FrameID, _ b: FrameID) -> FrameID {
        var known: [Link: FrameID] = [:]
        return unite(a, b, &known)
    }

    /// Goes no deeper than the stacks are, and by `known` unites no two frames twice.
    private mutating func unite(_ a: FrameID, _ b: FrameID, _ known: inout [Link: FrameID]) -> FrameID {
        if a == b { return a }
        // A pair of frames, not a thread.
        let pair = Link(state: min(a, b), frame: max(a, b))
        if let frame = known[pair] { return frame }
        var links: [Link] = []
        let all = frames[Int(a)].links + frames[Int(b)].links
        for link in all.sorted(by: { ($0.state, $0.frame) < ($1.state, $1.frame) }) {
            if let last = links.last, last.state == link.state {
                links[links.count - 1].frame = unite(last.frame, link.frame, &known)
            } else {
                links.append(link)
            }
        }
        let isBottom = frames[Int(a)].isBottom || frames[Int(b)].isBottom
        let demand = max(frames[Int(a)].demand, frames[Int(b)].demand)
        let depth = max(frames[Int(a)].depth, frames[Int(b)].depth)
        let frame = make(links, isBottom: isBottom, depth: depth, demand: demand)
        known[pair] = frame
        return frame
    }

    private mutating func make(_ links: [Link], isBottom: Bool, _ automaton: Automaton) -> FrameID {
        var depth: Int32 = 0, demand: Int32 = 0
        for link in links {
            depth = max(depth, frames[Int(link.frame)].depth + 1)
            demand = max(demand, self.demand(of: link, automaton))
        }
        return make(links, isBottom: isBottom, depth: depth, demand: demand)
    }

    private mutating func make(_ links: [Link], isBottom: Bool, depth: Int32, demand: Int32) -> FrameID {
        let key = Key(links: links, isBottom: isBottom)
        if let known = numbers[key] { return known }
        let number = FrameID(frames.count)
        frames.append(Frame(links: links, isBottom: isBottom, depth: depth, demand: demand))
        numbers[key] = number
        return number
    }

    /// Forgets frames that `threads` do not lead to.
    /// - Returns: `threads` with the numbers that frames have now.
    mutating func compact(_ threads: [Link]) -> [Link] {
        var isUsed = [Bool](repeating: false, count: frames.count), waiting = threads.map(\.frame)
        isUsed[0] = true
        while let frame = waiting.popLast() {
            if isUsed[Int(frame)] { continue }
            isUsed[Int(frame)] = true
            waiting += frames[Int(frame)].links.map(\.frame)
        }
        // Those below were made before those above.
        var kept = Stacks(), renamed = [FrameID](repeating: 0, count: frames.count)
        for (number, frame) in frames.enumerated() where isUsed[number] && number > 0 {
            let links = frame.links.map { Link(state: $0.state, frame: renamed[Int($0.frame)]) }
            renamed[number] = kept.make(links, isBottom: frame.isBottom, depth: frame.depth, demand: frame.demand)
        }
        self = kept
        return threads.map { Link(state: $0.state, frame: renamed[Int($0.frame)]) }
    }
}
