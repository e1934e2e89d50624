// swift-tools-version: 6.2
import PackageDescription

// Settings that every Swift target shares.
let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let collections: Target.Dependency = .product(name: "Collections", package: "swift-collections")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
    .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
]
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdTesting: Target.Dependency = .product(name: "HummingbirdTesting", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

/// What the tests call is optimized; of the tests themselves, which take twice as long to compile then, only those that calculate.
func tests(_ name: String, _ dependencies: [Target.Dependency], optimized: Bool = false) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: dependencies,
        swiftSettings: optimized ? swiftSettings : swiftSettings + [.unsafeFlags(["-Onone"])])
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

// Lowest layer first; a target may import only what stands above it in this list.
let targets: [Target] = [
    .systemLibrary(name: "CZeroMQ", pkgConfig: "libzmq", providers: [.apt(["libzmq3-dev"])]),
    .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
    // Its header alone: the library is loaded when it is wanted.
    .systemLibrary(name: "COpenBLAS", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
    .target(name: "CWire", dependencies: ["CProtobufC"]),
    .target(name: "CChecksum"),
    .target(name: "CKernels"),
    .target(name: "CProbes"),

    library("Generation"),
    library("JSONReader"),
    library("ChatTemplate", ["JSONReader"]),
    library("Kernels", ["CKernels", "COpenBLAS"]),
    library("Tokenizer", ["CPCRE2", "Generation", "JSONReader"]),
    library("Grammar", ["Tokenizer", "Generation", "JSONReader"]),
    library("Inference", ["CChecksum", "Kernels", "Tokenizer", "Grammar", "Generation", "JSONReader", crypto]),
    library("ClusterCore", ["Generation", collections]),
    library("LentCores", ["Kernels", "ClusterCore", systemPackage]),
    library("ClusterSimulation", ["ClusterCore", "Generation"]),
    library("Wire", ["CWire", "CProtobufC", "CChecksum", "ClusterCore", "Generation"]),
    library("Transport", ["CZeroMQ", "Wire", "ClusterCore", logging]),
    library("ClusterTracing", ["ClusterCore", "Generation"]),

    library(
        "WorkerRuntime",
        [
            "Inference", "Kernels", "Tokenizer", "Grammar", "ClusterCore", "LentCores", "Transport", "Wire", "Generation", logging,
        ]),
    library("BatonClient", ["Transport", "Wire", "ClusterCore", "Generation"]),
    library("Jobs", ["ClusterCore", "Generation", "JSONReader", grdb, logging]),
    library("RequestAdmission", ["ClusterCore", "Tokenizer", "ChatTemplate", "Grammar", "Inference", "Generation"]),
    library(
        "Gateway",
        [
            "RequestAdmission", "Jobs", "ClusterCore", "ChatTemplate", "Tokenizer", "JSONReader", "Generation", collections, crypto, httpTypes, hummingbird, hummingbirdCore,
            lifecycle, logging,
        ] + nio),
    library("ProgramSupport", ["Transport", "Inference", argumentParser, logging, yams, lifecycle, signals]),
    library(
        "WorkerProgram",
        ["WorkerRuntime", "ProgramSupport", "Inference", "ClusterCore", "Transport", argumentParser, lifecycle]),
    library("LocalCluster", [subprocess, systemPackage]),
    library(
        "Experiments",
        ["CProbes", "Kernels", "Tokenizer", "Grammar", "Inference", "ClusterCore", "LentCores", "WorkerRuntime", "Generation", logging]),
    library(
        "ServingExperiments",
        [
            "Inference", "Kernels", "BatonClient", "ClusterCore", "JSONReader", "Generation", asyncHTTPClient, crypto,
        ] + nio),
    // What `Fuzzing/` runs under sanitizers, and the tests replay.
    library("FuzzTargets", ["Inference", "Kernels", "Tokenizer", "Grammar", "ChatTemplate", "JSONReader", "Wire", "ClusterCore"]),

    program(
        "Coordinator",
        [
            "ProgramSupport", "Gateway", "Jobs", "ChatTemplate", "RequestAdmission", "ClusterCore", "Transport", "ClusterTracing", "Wire", "Tokenizer", "Inference", "Generation",
            argumentParser, logging, lifecycle,
        ]),
    .executableTarget(
        name: "ClientExample", dependencies: ["BatonClient", "ClusterCore", "Generation"], path: "deploy/examples/client/Sources/Client",
        swiftSettings: swiftSettings),
    program("Simulate", ["ClusterSimulation", argumentParser]),
    program("PrefillWorker", ["WorkerProgram", "ProgramSupport", "ClusterCore", argumentParser]),
    program("DecodeWorker", ["WorkerProgram", "ProgramSupport", "ClusterCore", argumentParser]),
    program("MixedWorker", ["WorkerProgram", "ProgramSupport", "ClusterCore", argumentParser]),
    program(
        "Baton",
        [
            "ProgramSupport", "Gateway", "Jobs", "RequestAdmission", "BatonClient", "LocalCluster", "Experiments", "ServingExperiments", "Inference",
            "Kernels", "Tokenizer", "ChatTemplate", "Grammar", "JSONReader", "ClusterCore", "ClusterSimulation", "Generation", "Transport", "Wire",
            argumentParser, asyncHTTPClient, crypto, logging, lifecycle,
        ] + nio),
    // Writes to a job store until it is killed, for the tests.
    .executableTarget(name: "JobStoreWriter", dependencies: ["Jobs", logging], path: "Tests/JobStoreWriter", swiftSettings: swiftSettings),

    tests(
        "Cluster",
        [
            "LocalCluster", "Jobs", "BatonClient", "Inference", "Kernels", "ClusterCore", "LentCores", "Wire", "Generation", "CZeroMQ", subprocess,
            systemPackage,
            "Coordinator", "PrefillWorker", "DecodeWorker", "MixedWorker", "Baton", "ClientExample",
        ]),
    tests(
        "Gateway",
        [
            "Gateway", "RequestAdmission", "Jobs", "ClusterCore", "ChatTemplate", "Tokenizer", "Inference", "JSONReader", "Generation", crypto, httpTypes,
            hummingbird, hummingbirdTesting, logging, nioEmbedded,
        ] + nio),
    tests("Jobs", ["Jobs", "JobStoreWriter", "LocalCluster", "ClusterCore", "Generation", "JSONReader", grdb, logging]),
    tests("House", [subprocess, yams, systemPackage]),
    tests(
        "WorkerRuntime",
        ["WorkerRuntime", "Inference", "Kernels", "Grammar", "ClusterCore", "LentCores", "Transport", "Wire", "Generation", logging]),
    tests("BatonClient", ["BatonClient", "ClusterCore", "Generation"]),
    tests("FuzzTargets", ["FuzzTargets"]),
    tests("Generation", ["Generation"]),
    tests("JSONReader", ["JSONReader"]),
    tests("ChatTemplate", ["ChatTemplate", "JSONReader"]),
    tests("ProgramSupport", ["ProgramSupport", argumentParser]),
    tests("Kernels", ["Kernels", "CKernels"], optimized: true),
    tests("Tokenizer", ["Tokenizer", "Generation", "JSONReader"]),
    tests("Grammar", ["Grammar", "Tokenizer", "Generation", "JSONReader"]),
    tests("Inference", ["Inference", "Kernels", "Tokenizer", "Grammar", "Generation"], optimized: true),
    tests("ClusterCore", ["ClusterCore", "Generation"]),
    tests("LentCores", ["LentCores", "ClusterCore", "Kernels"]),
    tests("ClusterTracing", ["ClusterTracing", "ClusterCore", "Generation"]),
    tests("Experiments", ["Experiments", "ClusterCore"]),
    tests("ServingExperiments", ["ServingExperiments", "ClusterCore", "Inference", "Kernels", "Generation"]),
    tests("ClusterSimulation", ["ClusterSimulation", "ClusterCore", "Generation"]),
    tests("Wire", ["Wire", "CWire", "CProtobufC", "CChecksum", "ClusterCore", "Generation"]),
    tests("Transport", ["Transport", "CZeroMQ", "Wire", "ClusterCore", "Generation", logging]),
]

let package = Package(
    name: "baton",
    products: [
        .executable(name: "coordinator", targets: ["Coordinator"]),
        .executable(name: "prefill-worker", targets: ["PrefillWorker"]),
        .executable(name: "decode-worker", targets: ["DecodeWorker"]),
        .executable(name: "mixed-worker", targets: ["MixedWorker"]),
        .executable(name: "baton", targets: ["Baton"]),
        .executable(name: "simulate", targets: ["Simulate"]),
        .library(name: "BatonClient", targets: ["BatonClient", "ClusterCore", "Generation"]),
        .library(name: "FuzzTargets", targets: ["FuzzTargets"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: targets
)
