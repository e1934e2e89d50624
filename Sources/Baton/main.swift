import ArgumentParser
import ProgramSupport

await Program.main(Baton.self)
