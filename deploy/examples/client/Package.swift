// swift-tools-version: 6.2
import PackageDescription

// In a package of your own, name Baton by its URL instead of its path.
let package = Package(
    name: "client",
    dependencies: [.package(name: "baton", path: "../../..")],
    targets: [
        .executableTarget(name: "Client", dependencies: [.product(name: "BatonClient", package: "baton")], swiftSettings: [.swiftLanguageMode(.v6)])
    ]
)
