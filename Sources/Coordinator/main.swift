import ProgramSupport

await Program.main(CoordinatorCommand.self)
