import ClusterCore
import Generation
import Tokenizer

/// What the coordinator keeps for its clients: which request answers which key, and the text of each answer.
///
/// Holds no socket and no clock; the shell carries out what it returns.
struct ClientDesk {
    private struct Answer {
        var key: ClientRequestKey
        var text: AnswerText
        /// Tokens sent to the client.
        var tokenCount: Int32 = 0
    }

    private var answers: [RequestID: Answer] = [:]
    private var openCounts: [ClientID: Int] = [:]

    /// What to tell a client, or the scheduler.
    enum Outcome {
        case send(ClientRequestKey, ServerMessage)
        /// A stop string was met in this request's text.
        case stopMatched(RequestID)
    }

    /// Clients that wait for something.
    var clientsWithOpenRequests: Dictionary<ClientID, Int>.Keys { openCounts.keys }

    mutating func open(_ request: RequestID, for key: ClientRequestKey, text: AnswerText) {
        answers[request] = Answer(key: key, text: text)
        openCounts[key.client, default: 0] += 1
    }

    /// Tokens `firstIndex …` of an answer.
    mutating func emit(_ request: RequestID, firstIndex: Int32, tokens: [TokenID]) -> [Outcome] {
        guard var answer = answers[request], !answer.text.isStopped else { return [] }
        precondition(answer.tokenCount == firstIndex, "\(request): token \(firstIndex) after \(answer.tokenCount)")
        var text = ""
        var sent: [TokenID] = []
        for token in tokens {
            // One token at a time, so that a stop string ends the answer at the same token whatever a message holds.
            text += answer.text.append(token)
            sent.append(token)
            if answer.text.isStopped { break }
        }
        answer.tokenCount += Int32(sent.count)
        answers[request] = answer
        let message = ServerMessage.tokens(key: answer.key.key, firstIndex: firstIndex, tokens: sent, text: text)
        return [.send(answer.key, message)] + (answer.text.isStopped ? [.stopMatched(request)] : [])
    }

    mutating func finish(_ request: RequestID, _ summary: RequestSummary) -> [Outcome] {
        guard var answer = close(request) else { return [] }
        let rest = answer.text.finish()
        let completion = Completion(
            reason: answer.text.isStopped ? .stop : summary.reason, text: rest, tokenCount: answer.tokenCount,
            timings: summary.timings, prefillWorker: summary.prefillWorker, decodeWorker: summary.decodeWorker,
            attempts: summary.attempts)
        return [.send(answer.key, .finished(key: answer.key.key, completion))]
    }

    mutating func fail(_ request: RequestID, _ failure: RequestFailure) -> [Outcome] {
        guard let answer = close(request) else { return [] }
        return [.send(answer.key, .failed(key: answer.key.key, failure))]
    }

    private mutating func close(_ request: RequestID) -> Answer? {
        guard let answer = answers.removeValue(forKey: request) else { return nil }
        let client = answer.key.client
        openCounts[client] = openCounts[client].flatMap { $0 > 1 ? $0 - 1 : nil }
        return answer
    }
}
