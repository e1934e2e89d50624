// swift-tools-version: 6.2
import PackageDescription

// The fuzzer links libFuzzer's runtime and is built with sanitizers, so it stands apart: `make fuzz` gives the flags.
let package = Package(
    name: "fuzzing",
    dependencies: [.package(name: "baton", path: "..")],
    targets: [
        .target(name: "CFuzzer"),
        .executableTarget(
            name: "fuzz", dependencies: ["CFuzzer", .product(name: "FuzzTargets", package: "baton")],
            swiftSettings: [
                .swiftLanguageMode(.v6), .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"),
            ]),
    ]
)
