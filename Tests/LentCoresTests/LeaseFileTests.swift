import Foundation
import Testing

@testable import LentCores

@Suite struct LeaseFileTests {
    /// A directory of its own for each test.
    static func withDirectory<Result>(_ body: (String) throws -> Result) rethrows -> Result {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("baton-leases-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        return try body(directory)
    }

    /// Two open files are two workers, in one process as in two.
    @Test func aCoreHasOneHolder() throws {
        try Self.withDirectory { directory in
            let a = try LeaseFile(directory: directory, allowed: [0, 1]), b = try LeaseFile(directory: directory, allowed: [0, 1])
            #expect(a.take(1) && !b.take(1) && b.take(0))
            #expect(a.take(1), "again is no harm")
            a.giveBack(1)
            #expect(b.take(1))
        }
    }

    @Test func whatAWorkerHadIsFreeWhenItsFileCloses() throws {
        try Self.withDirectory { directory in
            var a: LeaseFile? = try LeaseFile(directory: directory, allowed: [0, 1])
            let b = try LeaseFile(directory: directory, allowed: [0, 1])
            try a?.makeHome(on: [0])
            a?.setWanted(0, true)
            #expect(a?.take(0) == true && a?.takeTurn(0) == true)
            #expect(!b.take(0) && !b.takeTurn(0) && b.isWanted(0) && b.othersHomes() == [0])
            a = nil
            #expect(b.take(0) && b.takeTurn(0) && !b.isWanted(0) && b.othersHomes() == [])
        }
    }

    @Test func severalMayWantACoreAndNobodySeesHimself() throws {
        try Self.withDirectory { directory in
            let files = try (0..<3).map { _ in try LeaseFile(directory: directory, allowed: [0]) }
            files[0].setWanted(0, true)
            files[1].setWanted(0, true)
            #expect(files.map { $0.isWanted(0) } == [true, true, true])
            files[1].setWanted(0, false)
            #expect(files.map { $0.isWanted(0) } == [false, true, true])
        }
    }

    @Test func homesAreWhereTheFewestAre() throws {
        try Self.withDirectory { directory in
            let allowed = [2, 5, 7]
            let files = try (0..<5).map { _ in try LeaseFile(directory: directory, allowed: allowed) }
            try files[0].makeHome(on: [5])
            #expect(try files[1].makeHome(count: 2) == [2, 7])
            #expect(try files[2].makeHome(count: 1) == [2])
            #expect(try files[3].makeHome(count: 2) == [5, 7])
            #expect(files[4].othersHomes() == allowed)
            #expect(throws: LeaseFileError.self) { try files[4].makeHome(count: 4) }
        }
    }

    @Test func directoriesKnowNothingOfEachOther() throws {
        try Self.withDirectory { here in
            try Self.withDirectory { there in
                let a = try LeaseFile(directory: here, allowed: [0]), b = try LeaseFile(directory: there, allowed: [0])
                try a.makeHome(on: [0])
                a.setWanted(0, true)
                #expect(a.take(0) && b.take(0) && !b.isWanted(0) && b.othersHomes() == [])
            }
        }
    }

    @Test(arguments: ["/dev/null/leases", "/proc/leases"])
    func aDirectoryThatCannotBeUsedIsNamed(directory: String) throws {
        let error = try #require(throws: LeaseFileError.self) { _ = try LeaseFile(directory: directory, allowed: [0]) }
        #expect("\(error)".hasPrefix("core leases in \(directory): "))
        #expect(error.problem.count > 5)
    }
}
