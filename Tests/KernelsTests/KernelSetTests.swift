@testable import Kernels
import Testing

@Suite struct KernelSetTests {
    @Test func theFastestIsChosenUnlessNamed() throws {
        #expect(try KernelSet.select(environment: [:]).instructions == KernelSet.available.last)
        for instructions in KernelSet.available {
            #expect(try KernelSet.select(environment: ["BATON_KERNELS": instructions.rawValue]).instructions == instructions)
        }
    }

    @Test func anUnknownOrMissingOneIsAnErrorThatNamesIt() throws {
        let error = #expect(throws: KernelError.self) { try KernelSet.select(environment: ["BATON_KERNELS": "avx1024"]) }
        #expect(error?.description.contains("BATON_KERNELS=avx1024") == true)
        for missing in KernelSet.Instructions.allCases where !KernelSet.available.contains(missing) {
            let error = #expect(throws: KernelError.self) { try KernelSet(missing) }
            #expect(error?.description.contains(missing.rawValue) == true)
        }
    }

    @Test func familiesAreNamed() throws {
        #expect(try KernelSet(.scalar).family(for: .float32) == "float32-fma")
        #expect(try KernelSet(.scalar).family(for: .bfloat16) == "bf16-fma")
        for kernels in KernelSet.all {
            #expect(kernels.family(for: .int8) == "int8-g64" && kernels.family(for: .int8, group: .of32) == "int8-g32")
        }
        if let kernels = try? KernelSet(.avx512bf16) { #expect(kernels.family(for: .bfloat16) == "bf16-dpbf16") }
        if let kernels = try? KernelSet(.amxbf16) { #expect(kernels.family(for: .bfloat16) == "bf16-amx") }
    }
}
