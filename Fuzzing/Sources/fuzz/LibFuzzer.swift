import CFuzzer
import FuzzTargets

// What libFuzzer calls: https://llvm.org/docs/LibFuzzer.html.

@_cdecl("LLVMFuzzerInitialize")
func initialize(_ count: UnsafeMutableRawPointer, _ arguments: UnsafeMutableRawPointer) -> Int32 {
    Fuzz.initialize()
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ data: UnsafePointer<UInt8>, _ size: Int) -> Int32 {
    Fuzz.run(UnsafeRawBufferPointer(start: data, count: size))
    return 0
}

/// Changes `size` bytes at `data` in place, into at most `maxSize`.
@_cdecl("LLVMFuzzerCustomMutator")
func mutate(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ maxSize: Int, _ seed: UInt32) -> Int {
    let input = Array(UnsafeBufferPointer(start: data, count: size))
    let mutated = Fuzz.target.mutate(input, seed: UInt64(seed), atMost: maxSize) { bytes in
        // Room to grow, as far as the limit allows.
        let room = max(1, min(maxSize, bytes.count + bytes.count / 2 + 64))
        var buffer = Array(bytes.prefix(room)) + Array(repeating: 0, count: max(0, room - bytes.count))
        let count = LLVMFuzzerMutate(&buffer, min(bytes.count, room), room)
        return Array(buffer.prefix(count))
    }
    _ = UnsafeMutableBufferPointer(start: data, count: mutated.count).update(fromContentsOf: mutated)
    return mutated.count
}
